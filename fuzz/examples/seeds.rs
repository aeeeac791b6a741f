//! Writes the seeds into `seeds/`; `cargo xtask fuzz --corpus` runs it. What a fuzzer once found stays.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let seeds = telemesh_fuzz::seeds::all();
    for (target, name, bytes) in &seeds {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)?;
    }
    println!("{} seeds for {} targets", seeds.len(), telemesh_fuzz::TARGETS.len());
    Ok(())
}
