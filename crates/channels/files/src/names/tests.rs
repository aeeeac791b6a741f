//! Names, links and what is shown of them.

use super::*;

#[test]
fn names_that_may_be_sent() {
    for name in
        ["a", "...", "..a", "a..", " ", "-rf", "größe", "😀", "a:b", "CON", "~", "a\nb", &"x".repeat(255)]
    {
        assert_eq!(check_name(name), Ok(()), "{name:?}");
    }
}

#[test]
fn names_that_break_the_protocol() {
    for name in [
        "",
        ".",
        "..",
        "/",
        "a/b",
        "a/",
        "\\",
        "C:\\x",
        "a\0b",
        STATE_FOLDER,
        ".TELEMESH-partial",
        &"x".repeat(256),
    ] {
        assert!(check_name(name).is_err(), "{name:?}");
    }
}

#[test]
fn windows_has_more_names_that_are_not_what_they_seem() {
    for name in [
        "C:",
        "C:x",
        "a:stream",
        "a::$DATA",
        "CON",
        "con",
        "Con.txt",
        "nul.tar.gz",
        "AUX ",
        "COM1",
        "com¹",
        "LPT0.x",
        "CONIN$",
        "a.",
        "a ",
        "a?",
        "a*",
        "a|b",
        "<a",
        "a>",
        "\"a",
        "a\tb",
        "a\u{1f}",
    ] {
        assert_eq!(NameRules::Windows.check(name), Err(Reason::Name), "{name:?}");
        assert_eq!(NameRules::Unix.check(name), Ok(()), "{name:?}");
    }
    for name in ["CONSOLE", "COM", "COMA", "COM10", "LPTx", "a.con", ".con", "null", "größe", "a b"] {
        assert_eq!(NameRules::Windows.check(name), Ok(()), "{name:?}");
    }
}

#[test]
fn links_that_stay_within_the_folder() {
    for (target, depth) in [
        ("a", 1),
        ("./a", 1),
        ("a/b//c", 1),
        ("../a", 2),
        ("..", 2),
        (".", 1),
        ("../../a", 3),
        ("...", 1),
        ("a:b", 1),
    ] {
        assert_eq!(check_link(target, depth), Ok(()), "{target:?} at {depth}");
    }
}

#[test]
fn links_that_lead_out_or_could() {
    for (target, depth) in [
        ("", 1),
        ("/", 1),
        ("/etc/passwd", 1),
        ("//server/share", 1),
        ("..", 1),
        ("../a", 1),
        ("../../a", 2),
        ("./../a", 1),
        ("a/..", 1),
        ("a/../../b", 3),
        ("a\\b", 1),
        ("a\0", 1),
        (".telemesh-partial/x", 1),
        ("a", 0),
        (&"a".repeat(4096), 1),
    ] {
        assert_eq!(check_link(target, depth), Err(Reason::LinkLeaves), "{target:?} at {depth}");
    }
}

#[test]
fn what_a_terminal_would_act_on_is_shown_as_it_is_written() {
    for (name, shown) in [
        ("größe 😀.txt", "größe 😀.txt"),
        ("a\u{1b}[31mred", "a\\u{1b}[31mred"),
        ("new\nline\ttab\r", "new\\nline\\ttab\\r"),
        ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
        ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
        ("back\\slash", "back\\\\slash"),
        ("\u{9b}31m", "\\u{9b}31m"),
        ("\u{7f}", "\\u{7f}"),
    ] {
        assert_eq!(escaped(name).to_string(), shown);
    }
}
