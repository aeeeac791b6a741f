//! Sends a folder from one endpoint to another. Run it with `cargo run -p telemesh --example files -- FOLDER TARGET`; without
//! arguments it sends a small folder that it makes itself.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use telemesh::Invite;
use telemesh::files::{FILES, Offer, Progress, Receiver, Target, escaped};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = std::env::temp_dir().join(format!("telemesh-example-{}", std::process::id()));
    let mut arguments = std::env::args().skip(1);
    let (folder, target) = match (arguments.next(), arguments.next()) {
        (Some(folder), Some(target)) => (folder.into(), target.into()),
        _ => {
            let folder = temporary.join("letters");
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("first.txt"), "hello")?;
            (folder, temporary.join("inbox"))
        }
    };

    // One endpoint takes transfers from whoever it is linked to …
    let receiver = Receiver::new(Target::open(&target)?).decide(|request| {
        println!("{} offers {} ({} files)", request.peer(), escaped(request.name()), request.files());
        std::future::ready(Ok(Progress::new()))
    });
    let bob = telemesh::builder(telemesh::generate_keys()?).handle(FILES, receiver)?.create().await?;

    // … and the other one sends.
    let alice = telemesh::create(telemesh::generate_keys()?).await?;
    let link = alice.link(bob.invite(Invite::once())?).await?;
    let offer = Offer::scan([folder]).await?;
    let report = telemesh::files::send(&link, &offer, &Progress::new()).await?;
    println!("{} of {} files are in {}", report.files, offer.files(), target.display());

    let delivered = alice.close().await.delivered && bob.close().await.delivered;
    println!("all delivered: {delivered}");
    if temporary.exists() {
        std::fs::remove_dir_all(temporary)?;
    }
    Ok(())
}
