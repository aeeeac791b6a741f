//! A process that is killed in the middle of a transfer, again and again, with both ends in it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod run;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use run::{Folders, assert_same, noise, run, set_mode, set_modified, transfer};
use telemesh_files::{Offer, STATE_FOLDER, Target};

/// Where the process that is killed finds its folders.
const FOLDERS: &str = "TELEMESH_TEST_KILLED_FOLDERS";

/// Not a scenario: what the killed process runs. Does nothing when it is run as a test.
#[test]
fn the_process_that_is_killed() {
    let Some(base) = std::env::var_os(FOLDERS).map(PathBuf::from) else { return };
    run(async {
        let offer = Offer::scan([base.join("from/all")]).await.unwrap();
        transfer(&offer, &Target::open(base.join("to")).unwrap()).await.reports();
    });
}

#[test]
fn killed_at_any_moment_a_transfer_goes_on_and_is_complete_in_the_end() {
    let folders = Folders::new();
    for number in 0..400u64 {
        folders.file(&format!("all/{}/{number}", number % 9), noise(number, 3_000 + 7 * number as usize));
    }
    folders.file("all/5/large", noise(1_000, 40_000_000));
    folders.file("all/zzz", noise(1_001, 20_000_000));
    set_mode(&folders.from().join("all/3"), 0o555);
    for number in 0..9 {
        set_modified(&folders.from().join(format!("all/{number}")), 1_000_000_000 + number, 0);
    }
    let mut killed = 0;
    for round in 0..8 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed"])
            .env(FOLDERS, folders.base.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Its moment is not the same in two runs; every one must do.
        std::thread::sleep(Duration::from_millis(15 + 23 * round));
        killed += u32::from(process.try_wait().unwrap().is_none());
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(killed > 0, "it was never killed in time");
    run(async {
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        let (sent, _) = transfer(&offer, &folders.target()).await.reports();
        assert!(sent.is_complete());
        assert!(!folders.to().join(STATE_FOLDER).exists());
        assert_same(&folders.to(), &folders.from());
        for path in ["from/all/3", "to/all/3"] {
            set_mode(&folders.base.path().join(path), 0o755);
        }
    });
}
