//! Who the program is: the home folder and its key.

use crate::support::{Running, folder, run, telemesh};

#[test]
fn the_identity_stays_and_its_key_is_for_the_owner_only() {
    let folder = folder();
    let first = run(&mut telemesh(&folder, "id --json")).with_code(0).objects().remove(0);
    let again = run(&mut telemesh(&folder, "id --json")).with_code(0).objects().remove(0);
    assert_eq!(first, again);
    assert_eq!(first["hashname"].as_str().unwrap().len(), 52);
    assert_eq!(first["hashname"], first["link"]["hashname"]);
    assert!(first["uri"].as_str().unwrap().starts_with("link://"));
    let text = run(&mut telemesh(&folder, "id")).with_code(0).text();
    assert!(text.contains(first["hashname"].as_str().unwrap()), "{text}");

    #[cfg(unix)]
    {
        let home = folder.path().join("home");
        assert_eq!(crate::support::mode(&home), 0o700);
        assert_eq!(crate::support::mode(&home.join("key")), 0o600);
    }
}

#[test]
fn another_home_is_another_identity() {
    let (one, other) = (folder(), folder());
    let id = |folder| run(&mut telemesh(folder, "id --json")).with_code(0).objects().remove(0);
    assert_ne!(id(&one)["hashname"], id(&other)["hashname"]);
    let home = one.path().join("home");
    let chosen = run(telemesh(&other, "id --json --home").arg(&home)).with_code(0).objects().remove(0);
    assert_eq!(chosen, id(&one));
}

#[test]
fn who_waits_is_nobody_in_particular_unless_asked() {
    let folder = folder();
    let id = run(&mut telemesh(&folder, "id --json")).with_code(0).objects().remove(0);
    let (_throw_away, ready) = Running::waiting(&mut telemesh(&folder, "pipe"));
    assert_ne!(ready["hashname"], id["hashname"]);
    let (_me, ready) = Running::waiting(&mut telemesh(&folder, "pipe --as-me"));
    assert_eq!(ready["hashname"], id["hashname"]);
    assert!(!ready["uri"].as_str().unwrap().contains('#'), "the uri has no secret");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused_with_the_repair() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    run(&mut telemesh(&folder, "id")).with_code(0);
    let key = folder.path().join("home/key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(&mut telemesh(&folder, "id")).with_code(1);
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().count(), 1);
    let object = run(&mut telemesh(&folder, "id --json")).with_code(1).objects().remove(0);
    assert_eq!(object["kind"], "failed");
}
