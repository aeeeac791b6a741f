//! `config check`: what a configuration file means, and what is wrong with one.

use crate::support::{Running, file, folder, run, telemesh};

const OTHER: &str = "jvdoio6kjvf3yqnxfvck43twaibbg4pmb7y3mqnvxafb26rqllwa";
const ONE: &str = "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa";

#[test]
fn a_file_in_order_is_explained() {
    let folder = folder();
    let text = format!("listen = \"127.0.0.1:4242\"\n[contacts.bob]\nlink = \"{ONE}\"\n");
    let path = file(&folder, "mine.toml", text);
    let shown = run(telemesh(&folder, "config check").arg(&path)).with_code(0).text();
    assert!(shown.contains("127.0.0.1:4242") && shown.contains("bob"), "{shown}");
    let object = run(telemesh(&folder, "config check --json").arg(&path)).with_code(0).objects().remove(0);
    assert_eq!((&object["ok"], &object["found"]), (&true.into(), &true.into()));
    assert_eq!(object["settings"]["contacts"][0]["hashname"], ONE);
    assert!(!folder.path().join("home").exists(), "looking at a file makes no home");
}

#[test]
fn the_home_folders_file_may_be_missing_but_a_chosen_one_may_not() {
    let folder = folder();
    let shown = run(&mut telemesh(&folder, "config check")).with_code(0).text();
    assert!(shown.contains("default"), "{shown}");
    let object = run(&mut telemesh(&folder, "config check --json")).with_code(0).objects().remove(0);
    assert_eq!(object["found"], false);
    let missing = folder.path().join("missing.toml");
    let ended = run(telemesh(&folder, "config check").arg(missing)).with_code(1);
    assert!(ended.stderr.contains("missing.toml") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    std::fs::create_dir(folder.path().join("home")).unwrap();
    file(&folder, "home/telemesh.toml", "listn = 1");
    run(&mut telemesh(&folder, "config check")).with_code(1);
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    let folder = folder();
    let path = file(&folder, "bad.toml", "\u{feff}listn = 1\n  public = \"\u{1b}[2J\u{202e}\"\n");
    let ended = run(telemesh(&folder, "config check").arg(&path)).with_code(1);
    // An escape character is no TOML, and no terminal gets to see it.
    assert!(ended.text().starts_with(&format!("{path}:2:")), "{}", ended.text());
    let path = file(&folder, "bad.toml", "listn = 1\n  public = \"a\u{202e}b\"\n");
    let ended = run(telemesh(&folder, "config check").arg(&path)).with_code(1);
    let text = ended.text();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with(&format!("{path}:1:1: listn: ")) && lines[0].contains("`listen`"), "{text}");
    assert!(lines[1].starts_with(&format!("{path}:2:12: public: ")), "{text}");
    assert!(!text.contains('\u{202e}') && ended.stderr.contains("2 problems"), "{text}{}", ended.stderr);
    let objects = run(telemesh(&folder, "config check --json").arg(&path)).with_code(1).objects();
    assert_eq!((&objects[0]["ok"], &objects[0]["problems"][1]["line"]), (&false.into(), &2.into()));
    assert_eq!(objects[1]["kind"], "failed");
}

#[test]
fn what_is_no_readable_text_file_is_refused() {
    let folder = folder();
    let refused = |path: &str, why: &str| {
        let ended = run(telemesh(&folder, "config check").arg(path)).with_code(1);
        let said = format!("{}{}", ended.text(), ended.stderr);
        assert!(said.contains(why), "{path}: {said}");
    };
    refused(folder.path().to_str().unwrap(), "it is a folder");
    let limit = 1024 * 1024;
    refused(&file(&folder, "large", vec![b'#'; limit + 1]), "larger than 1 MiB");
    run(telemesh(&folder, "config check").arg(file(&folder, "full", vec![b'#'; limit]))).with_code(0);
    refused(&file(&folder, "latin", b"# gr\xfcn"), ":1:5: not UTF-8");
    refused(&file(&folder, "utf-16", b"\xff\xfea\0"), "UTF-16");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        refused(pipe.to_str().unwrap(), "not a regular file");
        refused("/dev/null", "not a regular file");
        let open = file(&folder, "open", "public = false");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o666)).unwrap();
        refused(&open, "chmod o-w");
        let link = folder.path().join("link.toml");
        std::os::unix::fs::symlink(file(&folder, "real.toml", "public = false"), &link).unwrap();
        run(telemesh(&folder, "config check").arg(link)).with_code(0);
    }
}

#[cfg(unix)]
#[test]
fn an_endpoint_that_is_up_keeps_to_its_limits_and_says_what_a_reload_cannot_change() {
    let folder = folder();
    run(&mut telemesh(&folder, "id")).with_code(0);
    file(&folder, "home/telemesh.toml", "max_links = 1\n");
    let (_up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    run(telemesh(&folder, "contacts add one").arg(ONE)).with_code(0);
    let refused = run(telemesh(&folder, "contacts add other").arg(OTHER)).with_code(1);
    assert!(refused.stderr.contains('1'), "{}", refused.stderr);
    file(&folder, "home/telemesh.toml", "max_links = 2\nlog = \"warn\"\n");
    let reloaded = run(&mut telemesh(&folder, "reload --json")).with_code(0).objects().remove(0);
    assert_eq!(reloaded["changes"], serde_json::json!(["log"]));
    assert_eq!(reloaded["restart"], serde_json::json!(["max_links"]));
    run(telemesh(&folder, "contacts add other").arg(OTHER)).with_code(1);
}
