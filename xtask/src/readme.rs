//! Keeps the pages true: every command in the root README is one that CI runs, every Rust snippet in it is taken
//! from an example that runs here, and no page of the project points at a file that is not there.

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Result, bail};

use crate::{ci, workspace};

/// Checks the pages and runs the examples that the README shows.
///
/// # Errors
/// When a page says something untrue, or an example fails.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let readme = workspace::read(&root.join("README.md"))?;
    let blocks = blocks(&readme);
    let mut problems = command_problems(&blocks);
    let mut examples = Vec::new();
    for block in blocks.iter().filter(|block| block.language == "rust") {
        match example(&root, block) {
            Ok(command) => examples.push(command),
            Err(error) => problems.push(format!("README.md:{}: {error:#}", block.line)),
        }
    }
    let pages = workspace::files(&root, ".md")?;
    for page in &pages {
        problems.extend(dead_links(&root, page, &workspace::read(page)?));
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!("readme found {} problem(s)", problems.len());
    }
    for command in &examples {
        println!("--> {command}");
        workspace::run(&root, command)?;
    }
    println!(
        "readme: {} commands, {} examples, {} pages without dead links",
        commands(&blocks).count(),
        examples.len(),
        pages.len()
    );
    Ok(())
}

/// One fenced block of a page.
#[derive(Debug, PartialEq, Eq)]
struct Block<'a> {
    /// The first word after the fence.
    language: &'a str,
    /// The line of the opening fence, counted from one.
    line: usize,
    /// The file that a comment right above the fence names: `<!-- from crates/… -->`.
    source: Option<&'a str>,
    content: Vec<&'a str>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    let mut above = "";
    for (index, line) in page.lines().enumerate() {
        match (line.trim().strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(information), None) => {
                let language = information.split([',', ' ']).next().unwrap_or_default();
                let source = above.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->"));
                open = Some(Block { language, line: index + 1, source, content: Vec::new() });
            }
            (None, Some(mut block)) => {
                block.content.push(line);
                open = Some(block);
            }
            (None, None) => {}
        }
        above = line.trim();
    }
    // A fence that nobody closed runs to the end of the page, as on screen.
    blocks.extend(open);
    blocks
}

/// The commands that a reader is told to type, without their comments, and where each stands.
fn commands<'a>(blocks: &'a [Block<'a>]) -> impl Iterator<Item = (usize, &'a str)> {
    let shell = blocks.iter().filter(|block| matches!(block.language, "sh" | "shell" | "bash" | "console"));
    shell.flat_map(|block| {
        let lines = block.content.iter().enumerate();
        lines.filter_map(|(index, line)| {
            let command = line.split(" #").next().unwrap_or_default().trim();
            (!command.is_empty() && !command.starts_with('#')).then_some((block.line + 1 + index, command))
        })
    })
}

/// Commands that CI does not run, and promised ones that are missing.
fn command_problems(blocks: &[Block<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    for (line, command) in commands(blocks) {
        if !ci::STEPS.iter().any(|step| step.command == command) {
            problems.push(format!("README.md:{line}: no step of `cargo xtask ci` runs `{command}`"));
        }
    }
    for promised in PROMISED {
        if !commands(blocks).any(|(_, command)| command == promised) {
            problems.push(format!("README.md: must show `{promised}`"));
        }
    }
    problems
}

/// Checks that a snippet stands, line by line, in the example it names, and gives the command that runs it.
fn example(root: &Path, block: &Block<'_>) -> Result<String> {
    let Some(source) = block.source else {
        bail!("a snippet needs `<!-- from crates/…/examples/….rs -->` right above it");
    };
    let Some((folder, name)) = source.strip_suffix(".rs").and_then(|path| path.split_once("/examples/"))
    else {
        bail!("`{source}` is not an example: crates/…/examples/….rs");
    };
    let text = workspace::read(&root.join(source))?;
    let text: Vec<&str> = text.lines().map(str::trim).collect();
    let wanted: Vec<&str> = block.content.iter().map(|line| line.trim()).collect();
    if wanted.is_empty() || !text.windows(wanted.len()).any(|lines| lines == wanted) {
        bail!("the snippet is not what stands in {source}");
    }
    Ok(format!("cargo run --quiet --manifest-path {folder}/Cargo.toml --example {name}"))
}

/// Links of a page to files of the project that are not there.
fn dead_links(root: &Path, page: &Path, text: &str) -> Vec<String> {
    let shown = workspace::shown(root, page);
    let folder = page.parent().unwrap_or(root);
    let mut problems = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        in_block ^= line.trim_start().starts_with("```");
        if in_block {
            continue;
        }
        for target in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = target.split('#').next().unwrap_or_default();
            // Rust paths in crate docs and addresses in the web are checked by rustdoc and by nobody.
            let elsewhere =
                file.is_empty() || file.contains("://") || file.contains("::") || file.starts_with("mailto:");
            if !elsewhere && !folder.join(file).exists() {
                problems.push(format!("{shown}:{}: `{target}` points nowhere", index + 1));
            }
        }
    }
    problems
}

/// What the first screen promises: seeing it work, and checking it.
const PROMISED: [&str; 2] = ["cargo run --release -- demo", "cargo test --workspace"];
