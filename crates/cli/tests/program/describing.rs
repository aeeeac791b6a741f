//! What describes the program: completions and manual pages, with every command in them. And what it logs.

use std::process::Command;

use crate::support::{folder, run, telemesh};

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = run(&mut telemesh(&folder(), "--help")).with_code(0).text();
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names: Vec<String> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    assert!(names.len() >= 8 && names.contains(&"pipe".to_owned()), "{names:?}");
    names
}

#[test]
fn every_shell_completes_every_command() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&mut telemesh(&folder, &format!("completions {shell}"))).with_code(0);
        let script = ended.text();
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        assert!(ended.stderr.is_empty());
    }
    run(&mut telemesh(&folder, "completions tcsh")).with_code(2);
}

#[test]
fn the_shells_that_are_here_can_read_their_completions() {
    let folder = folder();
    for (shell, check) in [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish --no-execute")] {
        let script = run(&mut telemesh(&folder, &format!("completions {shell}"))).with_code(0).stdout;
        let path = crate::support::file(&folder, shell, script);
        let mut words = check.split(' ');
        let Ok(status) = Command::new(words.next().unwrap()).args(words).arg(&path).status() else {
            continue;
        };
        assert!(status.success(), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let folder = folder();
    let page = run(&mut telemesh(&folder, "man")).with_code(0).text();
    let pages = folder.path().join("man");
    run(telemesh(&folder, "man").arg(&pages)).with_code(0);
    assert_eq!(std::fs::read_to_string(pages.join("telemesh.1")).unwrap(), page);
    for command in commands() {
        assert!(page.contains(&format!("telemesh\\-{command}(1)")), "{command}");
        let own = std::fs::read_to_string(pages.join(format!("telemesh-{command}.1"))).unwrap();
        assert!(own.contains(".SH SYNOPSIS") && own.contains(".SH OPTIONS"), "{command}");
    }
    assert!(pages.join("telemesh-key-backup.1").exists());
    let object = run(telemesh(&folder, "man --json").arg(&pages)).with_code(0).objects().remove(0);
    assert!(object["pages"].as_array().unwrap().iter().any(|page| page == "telemesh-pipe.1"));
}

#[test]
fn nothing_is_logged_unless_somebody_asks() {
    let folder = folder();
    let (_waiting, ready) = crate::support::Running::waiting(&mut telemesh(&folder, "perf"));
    let ping = |more: &str| {
        let mut command = telemesh(&folder, &format!("ping --quiet -n 1 {more}"));
        command.arg(crate::support::invite(&ready)).env_remove("TELEMESH_LOG");
        command
    };
    assert_eq!(run(&mut ping("")).with_code(0).stderr, "");
    let logged = run(&mut ping("--log debug")).with_code(0).stderr;
    assert!(logged.contains("DEBUG telemesh"), "{logged}");
    assert!(!logged.contains('\u{1b}'), "no colours in a pipe");
    let (_, secret) = crate::support::invite(&ready).split_once('#').unwrap();
    let everything = run(ping("").env("TELEMESH_LOG", "trace")).with_code(0).stderr;
    assert!(everything.contains("the link was dialled"), "{everything}");
    assert!(!everything.contains(secret), "a log has no secrets");
    assert_eq!(run(ping("--log off").env("TELEMESH_LOG", "trace")).with_code(0).stderr, "");
    let refused = run(&mut ping("--log debgu")).with_code(2).stderr;
    assert!(refused.contains("`debug`"), "{refused}");
}
