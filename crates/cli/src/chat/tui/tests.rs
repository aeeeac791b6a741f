//! The screen as it looks, drawn into memory: ordinary sizes, small ones, hostile content, keys.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};

use super::model::Model;
use super::{Wish, handle, view};
use crate::event::{Event, Happened};
use crate::request::Request;

fn opened() -> Model {
    let mut model = Model::default();
    tell(
        &mut model,
        Happened::Chat {
            chat: "chatid".into(),
            room: "lunch".into(),
            hashname: "us".into(),
            leader: "us".into(),
            joined: true,
            unread: 0,
        },
    );
    member(&mut model, "alice", "us", None);
    member(&mut model, "bob", "here", Some("udp:192.0.2.7:42424"));
    member(&mut model, "carol", "here", Some("peer:abc"));
    member(&mut model, "dave", "away", None);
    model
}

fn tell(model: &mut Model, happened: Happened) {
    model.happened(&Event::Happened(happened));
}

fn member(model: &mut Model, name: &str, state: &str, path: Option<&str>) {
    tell(
        model,
        Happened::Member {
            key: Some(name.into()),
            hashname: name.into(),
            name: name.into(),
            state: state.into(),
            path: path.map(Into::into),
            devices: Vec::new(),
            two_versions: None,
        },
    );
}

fn message(model: &mut Model, n: u64, name: &str, text: &str) {
    tell(
        model,
        Happened::ChatMessage {
            id: format!("m{n}"),
            place: format!("{n:016}"),
            key: name.into(),
            hashname: name.into(),
            name: name.into(),
            time_ms: n * 60_000,
            text: text.into(),
            edited: false,
            own: name == "alice",
            new: name != "alice",
        },
    );
}

fn screen(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    (0..height)
        .map(|y| {
            let row: String = (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect();
            row.trim_end().to_owned()
        })
        .collect()
}

fn key(model: &mut Model, code: KeyCode) -> Option<Wish> {
    handle(model, Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_text(model: &mut Model, text: &str) {
    for character in text.chars() {
        assert_eq!(key(model, KeyCode::Char(character)), None);
    }
}

#[test]
fn who_is_there_how_they_are_reached_and_what_was_delivered() {
    let mut model = opened();
    message(&mut model, 1, "bob", "where?");
    message(&mut model, 2, "alice", "at the corner");
    message(&mut model, 3, "alice", "or not");
    tell(&mut model, Happened::Delivery { id: "m2".into(), received: 3, read: 3, of: 3 });
    tell(&mut model, Happened::Delivery { id: "m3".into(), received: 2, read: 0, of: 3 });
    tell(&mut model, Happened::Typing { key: "bob".into(), name: "bob".into(), typing: true });
    let screen = screen(&mut model, 80, 24);
    assert_eq!(screen[0], " lunch · 2 here, 1 away");
    assert_eq!(screen[1].split('│').nth(1).unwrap(), "● alice            you");
    assert_eq!(screen[2].split('│').nth(1).unwrap(), "● bob           direct");
    assert_eq!(screen[3].split('│').nth(1).unwrap(), "● carol         router");
    assert_eq!(screen[4].split('│').nth(1).unwrap(), "○ dave            away");
    let history: Vec<&str> =
        screen[19..22].iter().map(|row| row.split('│').next().unwrap().trim_end()).collect();
    assert_eq!(history[1], "00:02 alice: at the corner ✓✓");
    assert_eq!(history[2], "00:03 alice: or not ✓2/3");
    assert_eq!(screen[22], " bob types …");
    assert_eq!(screen[23], ">");
}

#[test]
fn long_lines_are_broken_between_words_and_every_size_is_drawn() {
    let mut model = opened();
    message(&mut model, 1, "bob", &"several words in a row ".repeat(20));
    message(&mut model, 2, "bob", &"x".repeat(70_000));
    message(&mut model, 3, "bob", "会議室".repeat(40).as_str());
    message(&mut model, 4, "bob", "one\ntwo\n\nthree");
    model.editor.insert(&"typed ".repeat(50));
    for width in [0, 1, 2, 5, 20, 59, 60, 80, 200] {
        for height in [0, 1, 2, 3, 5, 24, 60] {
            if width > 0 && height > 0 {
                screen(&mut model, width, height);
            }
        }
    }
    let shown = screen(&mut model, 80, 24);
    assert!(shown.iter().any(|row| row.starts_with("00:04 bob: one")));
    assert!(shown.iter().any(|row| row.split('│').next().unwrap().trim_end() == "      three"));
}

#[test]
fn what_others_write_moves_no_cursor_and_turns_no_line_around() {
    let mut model = opened();
    member(&mut model, "mal\u{1b}[2Jlory", "here", Some("udp:192.0.2.9:1"));
    message(&mut model, 1, "bob", "a\u{1b}[2Jb\u{202e}c\u{7}\td");
    tell(&mut model, Happened::Warning { text: "x\u{1b}]0;title\u{7}".into() });
    let shown = screen(&mut model, 80, 24).join("\n");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{7}']));
    assert!(shown.contains("a\\u{1b}[2Jb\\u{202e}c\\u{7}\\td"));
    assert!(shown.contains("x\\u{1b}]0;title\\u{7}"));
}

#[test]
fn scrolled_back_new_messages_are_counted_and_marked() {
    let mut model = opened();
    for n in 1..=100 {
        message(&mut model, n, "bob", &format!("number {n}"));
    }
    let shown = screen(&mut model, 80, 24);
    assert!(shown[21].contains("number 100"));
    assert_eq!(model.read(), Some(Request::ChatRead { chat: "chatid".into(), message: "m100".into() }));
    model.show_end();
    assert_eq!(key(&mut model, KeyCode::PageUp), None);
    message(&mut model, 101, "bob", "late");
    message(&mut model, 102, "carol", "later");
    let shown = screen(&mut model, 80, 24);
    assert!(shown[21].contains("number 90"), "{}", shown[21]);
    assert_eq!(shown[22], " older messages · 2 new below · Esc: to the end");
    // Nobody has seen them.
    assert_eq!(model.read(), None);
    for _ in 0..2 {
        assert_eq!(key(&mut model, KeyCode::PageDown), None);
    }
    let shown = screen(&mut model, 80, 24).join("\n");
    assert!(shown.contains("─ new ─"), "{shown}");
    assert!(model.read().is_some());
    assert_eq!(key(&mut model, KeyCode::Esc), None);
    assert!(!screen(&mut model, 80, 24).join("\n").contains("─ new ─"));
    // Nobody scrolls past the first one.
    for _ in 0..50 {
        key(&mut model, KeyCode::PageUp);
    }
    assert!(screen(&mut model, 80, 24)[1].contains("number 1"));
}

#[test]
fn whoever_looks_elsewhere_has_read_nothing() {
    let mut model = opened();
    message(&mut model, 1, "bob", "one");
    assert!(model.read().is_some());
    handle(&mut model, Input::FocusLost);
    message(&mut model, 2, "bob", "two");
    assert_eq!(model.read(), None);
    assert!(screen(&mut model, 80, 24).join("\n").contains("─ new ─"));
    handle(&mut model, Input::FocusGained);
    assert!(model.read().is_some());
}

#[test]
fn what_is_typed_is_sent_edited_or_explained() {
    let mut model = opened();
    type_text(&mut model, "helo");
    let say = |text: &str| Some(Wish::Ask(Request::ChatSay { chat: "chatid".into(), text: text.into() }));
    assert_eq!(key(&mut model, KeyCode::Enter), say("helo"));
    assert_eq!(screen(&mut model, 80, 24)[23], ">");
    message(&mut model, 1, "alice", "helo");
    key(&mut model, KeyCode::Up);
    assert_eq!(screen(&mut model, 80, 24)[23], "> /edit helo");
    key(&mut model, KeyCode::Backspace);
    type_text(&mut model, "lo");
    let edit = Request::ChatEdit { chat: "chatid".into(), text: "hello".into() };
    assert_eq!(key(&mut model, KeyCode::Enter), Some(Wish::Ask(edit)));
    type_text(&mut model, "/nonsense");
    assert_eq!(key(&mut model, KeyCode::Enter), None);
    assert!(screen(&mut model, 80, 24)[22].contains("/nonsense is not known"));
    assert_eq!(key(&mut model, KeyCode::Esc), None);
    type_text(&mut model, "/quit");
    assert_eq!(key(&mut model, KeyCode::Enter), Some(Wish::Quit));
    let quit = Input::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(handle(&mut model, quit), Some(Wish::Quit));
}

#[test]
fn a_long_line_grows_the_input_and_keeps_the_cursor_in_view() {
    let mut model = opened();
    handle(&mut model, Input::Paste("word ".repeat(100)));
    let shown = screen(&mut model, 80, 24);
    assert_eq!(shown.iter().filter(|row| row.starts_with("  word")).count(), 5);
    key(&mut model, KeyCode::Home);
    assert!(screen(&mut model, 80, 24)[19].starts_with("> word"));
}

#[test]
fn what_can_be_done_is_said_as_far_as_there_is_room_and_never_cut_off() {
    for (width, said) in [
        (80, " Enter sends · Alt-Enter new line · PgUp older · ↑ edit · /help · Ctrl-C"),
        (72, " Enter sends · Alt-Enter new line · PgUp older · ↑ edit · /help · Ctrl-C"),
        (71, " Enter sends · PgUp older · /help · Ctrl-C"),
        (52, " Enter sends · PgUp older · /help · Ctrl-C"),
        (30, " /help · Ctrl-C"),
        (10, ""),
    ] {
        assert_eq!(screen(&mut opened(), width, 14)[12], said, "{width}");
    }
}
