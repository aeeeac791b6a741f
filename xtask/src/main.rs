//! Chores of the workspace, run as `cargo xtask <chore>`. This file only picks the chore; each one lives in
//! the module of its name. CI itself is `cargo xtask ci`, so that what runs there also runs on anybody's desk.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program talks on its terminal")]

mod bench;
mod ci;
mod codegen;
mod fuzz;
mod graph;
mod mutations;
mod namespaces;
mod natlab;
mod readme;
mod release;
mod services;
mod tidy;
mod wan;
mod workspace;

use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    LazyLock::force(&workspace::PROGRAM);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["bench", rest @ ..] => bench::run(rest),
        ["ci", rest @ ..] => ci::run(rest),
        ["codegen"] => codegen::run(false),
        ["codegen", "--check"] => codegen::run(true),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["graph"] => graph::run(),
        ["mutations"] => mutations::run(),
        ["namespaces"] => namespaces::run(None),
        ["namespaces", "--program", program] => namespaces::run(Some(program)),
        // Run by `namespaces` inside of one.
        ["stranger", target] => namespaces::stranger(target),
        ["natlab", rest @ ..] => natlab::run(rest),
        // Run by `natlab` inside of a namespace.
        ["natlab-agent", address] => natlab::serve_agent(address),
        ["natlab-download", role @ ..] => natlab::play_download(role),
        ["natlab-gateway", address] => natlab::serve_gateway(address),
        ["readme"] => readme::run(),
        ["release", rest @ ..] => release::run(rest),
        ["services", parts @ ..] => services::run(parts),
        ["tidy"] => tidy::run(),
        ["wan", rest @ ..] => wan::run(rest),
        _ => bail!("unknown chore `{}`\n\n{HELP}", arguments.join(" ")),
    }
}

const HELP: &str = "\
usage: cargo xtask <chore>

  ci [STEP]…            everything that must hold before a change goes in, or the named steps of it
     [--from STEP]      begin with this step
     [--skip STEP]…     leave this step out
  tidy                  the house rules: first lines, lengths, left-overs, files that must be there
  graph                 print the layers, check every arrow between crates and what the small ones compile
  codegen [--check]     write the code generated from proto/, or check that it is up to date
  readme                check the pages' commands, snippets and links, and run the README's examples
  mutations             take each guard out of the protocol in turn; the tests must fail every time
  fuzz [TARGET]…        give every decoder, or the named targets of fuzz/, what nobody would send (nightly, cargo-fuzz)
     [--seconds N]      for each target; 30 unless it is said
     [--jobs N]         targets at a time; as many as there are cores unless it is said
     [--sanitizer NAME] none unless it is said; address, leak, thread
     --corpus           write the checked-in seeds anew, and do nothing else
  namespaces            the real program between two network namespaces, and a stranger who tries everything (root, Linux)
     [--program PATH]   this program instead of a new build
  services [PART]…      iperf3, curl, redis, ssh, dig and browsers through the real program; what is not installed is skipped
  natlab                NATs of every kind, made of network namespaces and probed; then the real program behind some of
                        them, with a router in the open (root, Linux)
     [--all]            every kind against every other, and all that can happen to a network
     [--birthday N]     N meetings of a symmetric NAT and a port-restricted one: how many end direct, and when
     [--only WORD]      the scenarios with this in their names
     [--prove]          only the probes
     [--program PATH]   this program instead of a new build
  release VERSION       everything that can be checked before a release; publishes nothing
     [--write]          set the version and the changelog's section instead
     [--notes]          print that section instead
     --check            the quick half, for any version; a step of CI
  wan --listen ADDR --to ADDR
                        a bad network between two UDP addresses, until it is killed; --for TIME ends it
     [--there | --back | --both]
                        for which way the options behind it are; for both unless it is said
     [--delay TIME] [--jitter TIME] [--loss PERCENT] [--rate 100mbit] [--queue BYTES|TIME] [--mtu BYTES]
     [--reorder PERCENT] [--reorder-by TIME] [--duplicate PERCENT] [--corrupt PERCENT] [--seed N]
  bench [OPTION]…       run the comparison in bench/ and write its tables into docs/PERFORMANCE.md
";
