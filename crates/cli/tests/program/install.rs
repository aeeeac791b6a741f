//! What `docs` gives to people who install the program: the example of a configuration, the service, the commands.

use std::fs;
use std::path::PathBuf;

use crate::support::{file, folder, run, telemesh};

fn docs(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_example_of_a_configuration_is_in_order_and_complete() {
    let folder = folder();
    let example = docs("telemesh.toml");
    // As it is it changes nothing.
    let path = file(&folder, "example.toml", &example);
    let object = run(telemesh(&folder, "config check --json").arg(path)).with_code(0).objects().remove(0);
    let unset = |value: &serde_json::Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    assert!(object["settings"].as_object().unwrap().values().all(unset), "{object}");
    // With all of its examples it has every setting.
    let all: Vec<&str> = example
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    let path = file(&folder, "all.toml", all.join("\n"));
    let object = run(telemesh(&folder, "config check --json").arg(path)).with_code(0).objects().remove(0);
    for (name, value) in object["settings"].as_object().unwrap() {
        assert!(!unset(value), "{name} has no example");
    }
}

/// Where systemd is, it knows every word of the unit.
#[cfg(target_os = "linux")]
#[test]
fn the_service_is_one_that_systemd_understands() {
    let folder = folder();
    let unit = docs("telemesh.service");
    assert!(unit.contains("ExecStart=%h/.cargo/bin/telemesh up\n"));
    let unit = unit.replace("%h/.cargo/bin/telemesh", env!("CARGO_BIN_EXE_telemesh"));
    let path = file(&folder, "telemesh.service", unit);
    let mut verify = std::process::Command::new("systemd-analyze");
    verify.args(["verify", "--user", "--man=no", "--recursive-errors=no"]).arg(path);
    verify.env("XDG_RUNTIME_DIR", folder.path());
    let Ok(output) = verify.output() else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It may have something to say about other units of the machine.
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("telemesh")).collect();
    assert!(about_ours.is_empty(), "{said}");
}

#[test]
fn every_command_of_the_guide_is_there() {
    let folder = folder();
    let guide = docs("INSTALL.md");
    let commands: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("telemesh ")).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        // Only what the program itself gets to see, and with its help in place of what it would do.
        let words = command.split(" > ").next().unwrap();
        run(&mut telemesh(&folder, &format!("{words} --help"))).with_code(0);
    }
}
