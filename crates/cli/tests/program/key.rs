//! `key backup` and `key restore`: a key leaves its home and comes back.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Running, feed, file, folder, run, telemesh};

/// The hashname of the home in this folder, which is made if it is missing.
fn hashname(folder: &TempDir) -> String {
    let id = run(&mut telemesh(folder, "id --json")).with_code(0).objects().remove(0);
    id["hashname"].as_str().unwrap().to_owned()
}

/// A backup in `name`.
fn backup(folder: &TempDir, name: &str, options: &str) -> String {
    let path = folder.path().join(name).to_str().unwrap().to_owned();
    run(telemesh(folder, "key backup").arg(&path).args(options.split_whitespace())).with_code(0);
    path
}

#[test]
fn a_key_comes_back_on_another_machine() {
    let (here, there) = (folder(), folder());
    let me = hashname(&here);
    let saved = backup(&here, "backup", "");
    let text = fs::read_to_string(&saved).unwrap();
    assert!(text.contains(&me) && text.contains("telemesh key backup 1"), "{text}");
    #[cfg(unix)]
    assert_eq!(crate::support::mode(saved.as_ref()), 0o600);
    let ended = run(telemesh(&there, "key restore").arg(&saved)).with_code(0);
    assert!(ended.text().contains(&me), "{}", ended.text());
    assert_eq!(hashname(&there), me);
    #[cfg(unix)]
    {
        assert_eq!(crate::support::mode(&there.path().join("home")), 0o700);
        assert_eq!(crate::support::mode(&there.path().join("home/key")), 0o600);
    }
    let again = run(telemesh(&there, "key restore --json").arg(&saved)).with_code(0).objects().remove(0);
    assert_eq!((&again["hashname"], &again["changed"]), (&me.into(), &false.into()));
}

#[test]
fn a_copy_of_the_key_file_and_standard_input_are_backups_too() {
    let (here, there, third) = (folder(), folder(), folder());
    let me = hashname(&here);
    run(telemesh(&there, "key restore").arg(here.path().join("home/key"))).with_code(0);
    assert_eq!(hashname(&there), me);
    // Through pipes, as between two machines.
    let text = run(&mut telemesh(&here, "key backup")).with_code(0);
    assert!(!text.stderr.contains(&*text.text()));
    let mut restore = Running::start(telemesh(&third, "key restore -").stdin(Stdio::piped()));
    feed(restore.stdin(), text.stdout);
    restore.end().with_code(0);
    assert_eq!(hashname(&third), me);
}

#[test]
fn a_sealed_backup_needs_its_passphrase() {
    let (here, there) = (folder(), folder());
    let me = hashname(&here);
    let passphrase = file(&here, "passphrase", "correct horse battery\n");
    let saved = backup(&here, "sealed", &format!("--passphrase-file {passphrase}"));
    let key = fs::read_to_string(here.path().join("home/key")).unwrap();
    let text = fs::read_to_string(&saved).unwrap();
    assert!(text.contains("sealed yes"));
    for secret in key.lines().skip(2).filter_map(|line| line.split(' ').nth(1)) {
        assert!(!text.replace(' ', "").contains(&secret[..16]), "{text}");
    }
    let restore = |passphrase: &str| {
        let mut command = telemesh(&there, "key restore --passphrase-file");
        command.arg(passphrase).arg(&saved);
        run(&mut command)
    };
    let wrong = restore(&file(&here, "wrong", "correct horse batterz\n")).with_code(1);
    assert!(wrong.stderr.contains("passphrase is wrong"), "{}", wrong.stderr);
    assert!(!there.path().join("home/key").exists());
    restore(&passphrase).with_code(0);
    assert_eq!(hashname(&there), me);
    let unasked = run(telemesh(&there, "key restore").arg(&saved)).with_code(2);
    assert!(unasked.stderr.contains("--passphrase-file"), "{}", unasked.stderr);
    let short = file(&here, "short", "1234567");
    let refused = run(telemesh(&here, "key backup --passphrase-file").arg(short).arg(here.path().join("x")));
    assert!(refused.with_code(2).stderr.contains("at least 8"));
    assert!(!here.path().join("x").exists());
}

/// A sealed backup of an earlier version, of a key that nobody uses.
const SEALED: &str = "\
# A telemesh key, sealed with a passphrase. Keep both, apart from each other.
# Bring it back with: telemesh key restore FILE
telemesh key backup 1
hashname nrqzz35qzocvvw5ycpwbhtb4x5yuvhal7tizlbbpn4hepwbvbrja
sealed yes
gvqf dwzc q2ef 63rb rfby px5n cym2 roaa  oibn
nus2 vrsi kb3z 5stb y75s m2y4 7ipb avmp  lerj
afig cksn 3hw6 zl24 puq6 tjbo vnw6 ub6y  km4o
ifc4 lkev liqs okaw mbnd udj6 y73g lpel  7i5h
xomh 7g2f yn3i ta26 tsz5 onqo yvp7 6m2l  xdfh
5emp ijjl s3uo 33uf vunj q5h5 qewl hs7d  bwet
tmaw 7adx gdz5 bi25 dzpt t5oo uea5 akxw  cjy6
t635 agxe 6a5i jznz ku3y vful jyqw n7i5  evz2
3iwz 75uz iz4i fkfh gcwj zbx3 pi5l dyua  vwal
keag 4nkl 7jpk di2g 76fb xpft dsoi qhqu  iwaq
ai3b fobf cnea q6mw s6lj ddgj wkio fg6h  ys7b
ogla  egzg
end kojuueiw
";

#[test]
fn a_backup_of_an_earlier_version_is_still_one() {
    let folder = folder();
    let (saved, passphrase) = (file(&folder, "sealed", SEALED), file(&folder, "passphrase", "correct horse"));
    run(telemesh(&folder, "key restore --passphrase-file").arg(passphrase).arg(saved)).with_code(0);
    assert!(SEALED.contains(&hashname(&folder)));
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let (here, there) = (folder(), folder());
    let (me, other) = (hashname(&here), hashname(&there));
    let occupied = file(&here, "occupied", "mine");
    let refused = run(telemesh(&here, "key backup").arg(&occupied)).with_code(1);
    assert!(refused.stderr.contains("there already"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(&occupied).unwrap(), "mine");

    let saved = backup(&here, "backup", "");
    let refused = run(telemesh(&there, "key restore").arg(&saved)).with_code(1);
    assert!(refused.stderr.contains(&other) && refused.stderr.contains("--replace"), "{}", refused.stderr);
    assert_eq!(hashname(&there), other);
    let object = run(telemesh(&there, "key restore --json --replace").arg(&saved)).with_code(0);
    let kept = object.objects()[0]["kept"].as_str().unwrap().to_owned();
    assert_eq!(hashname(&there), me);
    // The old key is still there, and is a backup itself.
    run(telemesh(&there, "key restore --replace").arg(&kept)).with_code(0);
    assert_eq!(hashname(&there), other);
}

#[test]
fn a_key_file_that_is_damaged_can_be_replaced_and_is_kept() {
    let (here, there) = (folder(), folder());
    let (me, _) = (hashname(&here), hashname(&there));
    let key = there.path().join("home/key");
    fs::write(&key, "nonsense").unwrap();
    let saved = backup(&here, "backup", "");
    run(telemesh(&there, "key restore").arg(&saved)).with_code(1);
    let object =
        run(telemesh(&there, "key restore --json --replace").arg(&saved)).with_code(0).objects().remove(0);
    assert_eq!(fs::read_to_string(object["kept"].as_str().unwrap()).unwrap(), "nonsense");
    assert_eq!(hashname(&there), me);
}

#[test]
fn what_is_no_backup_changes_nothing() {
    let (here, there) = (folder(), folder());
    hashname(&here);
    let text = fs::read_to_string(backup(&here, "backup", "")).unwrap();
    let cut = text.split_once("\nend ").unwrap().0;
    let long = "a".repeat(100_000);
    let line = text.lines().nth(6).unwrap();
    let mistyped =
        text.replace(line, &line.replacen(|character: char| character.is_ascii_lowercase(), "7", 1));
    for (content, why) in [
        ("", "not a backup"),
        ("link://x", "not a backup"),
        (cut, "cut off"),
        (&long, "too long"),
        (&mistyped, "line 7 is mistyped"),
        ("telemesh keys 1\n", "cut short"),
    ] {
        let refused = run(telemesh(&there, "key restore").arg(file(&here, "bad", content))).with_code(1);
        assert!(refused.stderr.contains(why) && refused.stderr.lines().count() == 1, "{}", refused.stderr);
        assert!(!there.path().join("home").exists());
    }
    run(telemesh(&there, "key restore").arg(here.path().join("missing"))).with_code(1);
    let missing = run(telemesh(&there, "key backup").arg(there.path().join("x"))).with_code(1);
    assert!(missing.stderr.contains("no key"), "{}", missing.stderr);
    assert!(!there.path().join("x").exists() && !there.path().join("home").exists(), "no key is made");
}

#[test]
fn a_home_in_use_keeps_its_key() {
    let (here, there) = (folder(), folder());
    hashname(&here);
    let other = hashname(&there);
    let saved = backup(&here, "backup", "");
    let held = File::create(there.path().join("home/lock")).unwrap();
    held.try_lock().unwrap();
    let refused = run(telemesh(&there, "key restore --replace").arg(&saved)).with_code(1);
    assert!(refused.stderr.contains("telemesh stop"), "{}", refused.stderr);
    drop(held);
    assert_eq!(hashname(&there), other);
}

/// With `script`, which runs a command at a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_does_not_get_to_see_a_key() {
    let folder = folder();
    hashname(&folder);
    let at_terminal = |arguments: &str| {
        let program = format!("{} {arguments}", env!("CARGO_BIN_EXE_telemesh"));
        let mut command = Command::new("script");
        command.args(["-qec", &program, "/dev/null"]).env("TELEMESH_HOME", folder.path().join("home"));
        command.stdin(Stdio::null()).output()
    };
    // Not every machine has it.
    let Ok(refused) = at_terminal("key backup") else { return };
    assert_eq!(refused.status.code(), Some(2));
    let shown = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(shown.contains("--print") && !shown.contains("end "), "{shown}");
    let asked = at_terminal("key backup --print").unwrap();
    assert!(String::from_utf8_lossy(&asked.stdout).contains("telemesh key backup 1"));
}
