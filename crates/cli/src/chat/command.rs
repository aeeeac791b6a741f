//! What a typed line means: a text, or a command after a stroke.

use crate::request::Request;
use crate::secret::Secret;

/// A line that was typed.
#[derive(Debug, PartialEq)]
pub(super) enum Typed {
    /// To be asked of the endpoint.
    Ask(Request),
    /// Who is there?
    Who,
    /// What can be typed?
    Help,
    /// The end.
    Quit,
    Nothing,
    /// Not understood, and why.
    Wrong(String),
}

/// What can be typed besides texts.
pub(super) const HELP: &str = "/edit TEXT replaces your last message · /invite TO · /who · /quit · a line with //: a text that begins with /";

/// Reads a line for the chat of this id.
pub(super) fn read(line: &str, chat: &str) -> Typed {
    let chat = chat.to_owned();
    let line = line.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() {
        return Typed::Nothing;
    }
    if let Some(text) = line.strip_prefix("//") {
        return Typed::Ask(Request::ChatSay { chat, text: format!("/{text}") });
    }
    let Some(command) = line.strip_prefix('/') else {
        return Typed::Ask(Request::ChatSay { chat, text: line.to_owned() });
    };
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    match (word, rest.trim()) {
        ("edit", "") => Typed::Wrong("/edit needs the new text".to_owned()),
        ("edit", text) => Typed::Ask(Request::ChatEdit { chat, text: text.to_owned() }),
        ("invite", "") => Typed::Wrong("/invite needs a contact".to_owned()),
        ("invite", to) => Typed::Ask(Request::ChatInvite { chat, to: Secret::from(to.to_owned()) }),
        ("who", _) => Typed::Who,
        ("help" | "?", _) => Typed::Help,
        ("quit" | "q" | "exit", _) => Typed::Quit,
        (word, _) => Typed::Wrong(format!("/{word} is not known; /help says what is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_text_unless_it_begins_with_a_stroke() {
        let say = |text: &str| Typed::Ask(Request::ChatSay { chat: "c".into(), text: text.into() });
        assert_eq!(read("hello  you\n", "c"), say("hello  you"));
        assert_eq!(read("//etc/hosts", "c"), say("/etc/hosts"));
        assert_eq!(read(" \r\n", "c"), Typed::Nothing);
        assert_eq!(
            read("/edit better", "c"),
            Typed::Ask(Request::ChatEdit { chat: "c".into(), text: "better".into() })
        );
        assert_eq!(read("/quit", "c"), Typed::Quit);
        assert!(matches!(read("/nonsense", "c"), Typed::Wrong(_)));
        assert!(matches!(read("/edit", "c"), Typed::Wrong(_)));
    }
}
