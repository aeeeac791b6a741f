//! The text form: what is forgiven, and that nothing else is.

use super::*;

/// An endpoint of nobody, from the hashname's specification.
const NOBODY: &str = "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa";

fn backup(length: usize) -> Backup {
    let content = (0..length).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect();
    Backup { hashname: NOBODY.parse().unwrap(), sealed: false, content: Zeroizing::new(content) }
}

fn error(text: &str) -> BackupError {
    read(text).err().unwrap()
}

#[test]
fn what_is_written_is_read() {
    for length in [0, 1, 19, 20, 21, 200, 1_000] {
        let text = write(&backup(length));
        let read = read(&text).unwrap();
        assert_eq!(*read.content, *backup(length).content, "{length}");
        assert!(!read.sealed && read.hashname.to_string() == NOBODY);
        assert!(text.len() < MAX_LENGTH && text.lines().all(|line| line.len() <= 80), "{}", *text);
    }
}

#[test]
fn the_form_stays_as_it_is() {
    let text = write(&backup(24));
    let lines: Vec<_> = text.lines().skip(2).collect();
    let hashname = format!("hashname {NOBODY}");
    assert_eq!(
        lines,
        [
            "telemesh key backup 1",
            hashname.as_str(),
            "sealed no",
            "aadq 4fi4 emvd cob7 izgv iw3c nfyh o7uf  i3hf",
            "rsjz vii  mdyt",
            "end nkvmyx7y",
        ]
    );
}

#[test]
fn what_people_type_is_understood() {
    let text = write(&backup(100));
    let dashes =
        text.replace("  ", " ").replace(' ', "-").replace("telemesh-key-backup-", "telemesh key backup ");
    let dashes =
        dashes.replace("hashname-", "hashname ").replace("sealed-", "sealed ").replace("end-", "end ");
    assert!(read(&dashes).is_ok(), "{dashes}");
    let (head, body) = text.split_once("sealed no\n").unwrap();
    let (lines, end) = body.split_once("end ").unwrap();
    let digits = lines.replace('o', "0").replace('l', "1").replace('b', "8").to_uppercase();
    let end = end.to_uppercase();
    assert!(read(&format!("\n{head}# typed\r\n\r\n  sealed no\r\n{digits}\n\nend {end}\n\n")).is_ok());
}

#[test]
fn a_mistyped_line_is_named() {
    let text = write(&backup(100));
    let first = 6;
    for (index, line) in text.lines().enumerate().skip(first - 1).take(5) {
        let wrong = line.replacen(|character: char| character.is_ascii_lowercase(), "7", 1);
        assert_eq!(error(&text.replace(line, &wrong)), BackupError::Line(index + 1), "{line}");
    }
    let lines: Vec<_> = text.lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(first - 1, first);
    assert_eq!(error(&swapped.join("\n")), BackupError::Line(first));
}

#[test]
fn every_character_that_is_changed_is_noticed() {
    let text = write(&backup(60));
    let start = text.find("hashname").unwrap();
    for (place, character) in text.char_indices().skip(start).filter(|(_, character)| *character != ' ') {
        let other = if character == 'a' { "c" } else { "a" };
        let mut changed = text.to_string();
        changed.replace_range(place..=place, other);
        assert!(read(&changed).is_err(), "{place}: {character}");
    }
}

#[test]
fn whatever_is_cut_off_is_missed() {
    let text = write(&backup(100));
    let lines: Vec<_> = text.lines().collect();
    for count in 0..lines.len() {
        assert!(read(&lines[..count].join("\n")).is_err(), "{count} lines");
    }
    for missing in 3..lines.len() {
        let mut rest = lines.clone();
        rest.remove(missing);
        assert!(read(&rest.join("\n")).is_err(), "without line {missing}");
    }
    for end in 0..text.len() - 1 {
        assert!(read(&text[..end]).is_err(), "{end} bytes");
    }
    assert_eq!(error(&format!("{}{}", *text, lines[6])), BackupError::Incomplete);
}

#[test]
fn something_else_is_told_apart_from_a_newer_version() {
    for text in ["", "\n", "telemesh keys 1\n", "link://x", "# only a remark"] {
        assert_eq!(error(text), BackupError::NotABackup, "{text}");
    }
    assert_eq!(error("telemesh key backup 2\nanything"), BackupError::Version);
    assert_eq!(error("telemesh key backup 1\nhashname x\n"), BackupError::Line(2));
    assert_eq!(
        error(&format!("telemesh key backup 1\nhashname {NOBODY}\nsealed maybe")),
        BackupError::Line(3)
    );
}
