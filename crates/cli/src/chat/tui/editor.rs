//! The text that is being typed, with its cursor.

/// See the module's page. The cursor stands between two characters.
#[derive(Debug, Default)]
pub(in crate::chat) struct Editor {
    before: String,
    after: String,
    /// Both, for those who only look.
    whole: String,
}

impl Editor {
    pub(super) fn text(&self) -> &str {
        &self.whole
    }

    /// What stands before the cursor.
    pub(super) fn before(&self) -> &str {
        &self.before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    pub(super) fn set(&mut self, text: &str) {
        self.before = text.to_owned();
        self.after.clear();
        self.changed();
    }

    /// Puts text in. Of a paste without end only as much is taken as a message holds.
    pub(super) fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let room = telemesh::chat::MAX_TEXT.saturating_sub(self.whole.len());
        self.before.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        self.changed();
    }

    pub(super) fn clear(&mut self) {
        self.set("");
    }

    pub(super) fn backspace(&mut self) {
        self.before.pop();
        self.changed();
    }

    pub(super) fn delete(&mut self) {
        if self.right() {
            self.backspace();
        }
    }

    /// Takes away the word before the cursor.
    pub(super) fn delete_word(&mut self) {
        let end = self.before.trim_end().rfind(' ').map_or(0, |space| space + 1);
        self.before.truncate(end);
        self.changed();
    }

    pub(super) fn left(&mut self) {
        if let Some(character) = self.before.pop() {
            self.after.insert(0, character);
        }
    }

    pub(super) fn right(&mut self) -> bool {
        let moved = !self.after.is_empty();
        if moved {
            self.before.push(self.after.remove(0));
        }
        moved
    }

    pub(super) fn home(&mut self) {
        self.after.insert_str(0, &self.before);
        self.before.clear();
    }

    pub(super) fn end(&mut self) {
        self.before.push_str(&self.after);
        self.after.clear();
    }

    fn changed(&mut self) {
        self.whole.clone_from(&self.before);
        self.whole.push_str(&self.after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_changed_where_the_cursor_stands() {
        let mut editor = Editor::default();
        editor.insert("grüne welt");
        editor.home();
        editor.delete();
        editor.insert("G");
        assert_eq!(editor.text(), "Grüne welt");
        editor.end();
        editor.delete_word();
        editor.backspace();
        assert_eq!(editor.text(), "Grüne");
        editor.left();
        editor.left();
        editor.backspace();
        assert_eq!((editor.text(), editor.before()), ("Grne", "Gr"));
        editor.delete();
        editor.delete();
        editor.delete();
        assert_eq!(editor.text(), "Gr");
    }

    #[test]
    fn a_paste_without_end_is_cut_to_what_a_message_holds() {
        let mut editor = Editor::default();
        editor.insert(&"ü".repeat(1 << 20));
        assert_eq!(editor.text().len(), telemesh::chat::MAX_TEXT);
        editor.insert("x");
        assert_eq!(editor.text().len(), telemesh::chat::MAX_TEXT);
    }
}
