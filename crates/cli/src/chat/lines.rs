//! A chat in lines, for scripts and pipes: each line of standard input is said, what others say comes as lines on standard
//! output, and everything else on standard error. With `--json` everything comes as objects.

use std::collections::BTreeSet;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::command::{self, HELP, Typed};
use super::talk::{Asker, Talk};
use crate::event::{Event, Happened};
use crate::failure::Failure;
use crate::output::Output;
use crate::request::Request;
use crate::stdio;

/// How long what was said last may take to arrive at those who are there, after the end of the input.
const FAREWELL: Duration = Duration::from_secs(10);

/// After so long without an event nothing more is on its way from the endpoint to here.
const SILENCE: Duration = Duration::from_millis(250);

/// Longest line of input: the longest text. What is longer is refused as a whole.
const MAX_LINE: usize = telemesh::chat::MAX_TEXT;

/// The chat as far as lines need it.
#[derive(Debug, Default)]
struct State {
    chat: Option<String>,
    joined: bool,
    /// Messages of ours that are not everywhere yet.
    undelivered: BTreeSet<String>,
    /// Members by hashname, to tell what has changed.
    members: Vec<(String, String, String)>,
    /// Messages that were shown, and as what.
    shown: BTreeSet<(String, String)>,
}

/// Runs until the end of the input, or with `stay` until somebody ends it.
pub(super) async fn run(mut talk: Talk, output: Output, stay: bool) -> Result<(), Failure> {
    let asker = talk.asker();
    let mut input = stdio::input();
    let mut lines = Lines::default();
    let mut state = State::default();
    let mut ended = false;
    let mut farewell = pin!(tokio::time::sleep(Duration::MAX));
    loop {
        if ended && !stay && state.undelivered.is_empty() {
            return last_words(&mut talk, &mut state, &output, &asker).await;
        }
        tokio::select! {
            event = talk.next() => match event? {
                Some(event) => state.show(&event, &output, &asker).await?,
                None => return Err(Failure::Failed("the chat has ended".into())),
            },
            // What is typed before we are in waits.
            line = lines.next(&mut input), if !ended && state.joined => match line? {
                Some(Ok(line)) => {
                    if state.typed(&line, &output, &asker).await? {
                        return Ok(());
                    }
                }
                Some(Err(length)) => output.note(format_args!(
                    "a line of more than {length} bytes was not sent: a message has at most {MAX_LINE}"
                )),
                None => {
                    ended = true;
                    farewell.as_mut().reset(tokio::time::Instant::now() + FAREWELL);
                }
            },
            () = &mut farewell, if ended && !stay => {
                output.note("not everybody has received what was said last; they get it when they are there");
                return Ok(());
            }
        }
    }
}

/// Shows what has come in and is on its way here: those who wrote it have been told that it arrived.
async fn last_words(
    talk: &mut Talk,
    state: &mut State,
    output: &Output,
    asker: &Asker,
) -> Result<(), Failure> {
    let until = tokio::time::Instant::now() + FAREWELL;
    while tokio::time::Instant::now() < until
        && let Ok(event) = tokio::time::timeout(SILENCE, talk.next()).await
        && let Some(event) = event?
    {
        state.show(&event, output, asker).await?;
    }
    Ok(())
}

impl State {
    /// Carries out a line. Whether it was the last one.
    async fn typed(&mut self, line: &str, output: &Output, asker: &Asker) -> Result<bool, Failure> {
        let Some(chat) = self.chat.clone() else { return Ok(false) };
        match command::read(line, &chat) {
            Typed::Ask(request) => match asker.ask(request).await {
                Ok(Some(Event::Happened(Happened::Said { id }))) => drop(self.undelivered.insert(id)),
                Ok(_) => {}
                Err(failure @ Failure::Usage(_)) => output.note(failure.to_string()),
                Err(failure) => return Err(failure),
            },
            Typed::Who => {
                for (_, name, state) in &self.members {
                    output.note(format_args!("{name}: {state}"));
                }
            }
            Typed::Help => output.note(HELP),
            Typed::Quit => return Ok(true),
            Typed::Nothing => {}
            Typed::Wrong(why) => output.note(why),
        }
        Ok(false)
    }

    async fn show(&mut self, event: &Event, output: &Output, asker: &Asker) -> Result<(), Failure> {
        output.object(event)?;
        let Event::Happened(happened) = event else { return Ok(()) };
        match happened {
            Happened::Ready { invite: Some(invite), .. } => {
                output.note("waiting; whoever should chat with you runs:");
                output.line(format_args!("telemesh chat '{invite}'"))?;
            }
            Happened::Invited { room, hashname, name, .. } => {
                output.note(format_args!("{} invites to {room}", name.as_deref().unwrap_or(hashname)));
            }
            Happened::Chat { chat, room, joined, .. } => {
                if self.chat.is_none() {
                    output.note(format_args!(
                        "in {room}{}",
                        if *joined { "" } else { ", waiting for its leader" }
                    ));
                }
                self.chat = Some(chat.clone());
                self.joined = *joined;
            }
            Happened::Member { hashname, name, state, path, .. } => {
                let state = match path {
                    Some(path) => format!("{state}, {}", super::tui::way(path)),
                    None => state.clone(),
                };
                self.member(hashname, name, state, output);
            }
            Happened::ChatMessage { id, name, text, edited, own: false, new, .. }
                if self.shown.insert((id.clone(), text.clone())) =>
            {
                let mark = if *edited { " (edited)" } else { "" };
                output.line(format_args!("{name}{mark}: {text}"))?;
                if let (Some(chat), true) = (self.chat.clone(), *new) {
                    asker.ask(Request::ChatRead { chat, message: id.clone() }).await?;
                }
            }
            Happened::Delivery { id, received, of, .. } if received == of => {
                self.undelivered.remove(id);
            }
            Happened::Warning { text } => output.note(text),
            _ => {}
        }
        Ok(())
    }

    fn member(&mut self, hashname: &str, name: &str, state: String, output: &Output) {
        let known = self.members.iter_mut().find(|(known, ..)| known == hashname);
        // Nobody has come or gone because they are called something else.
        let is_news = known.as_ref().is_none_or(|(.., before)| *before != state);
        if state != "us" && is_news {
            output.note(format_args!("{name}: {state}"));
        }
        match known {
            Some(known) => *known = (hashname.to_owned(), name.to_owned(), state),
            None => self.members.push((hashname.to_owned(), name.to_owned(), state)),
        }
    }
}

/// Bytes of the input, as lines. A line that is too long is passed over, however long it is.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
    /// Bytes of a line that is too long.
    skipped: usize,
    ended: bool,
}

impl Lines {
    /// The next line, or the length at which it was given up; `None` at the end. Bytes that are no UTF-8 become what stands for
    /// such. Dropping the future loses nothing.
    async fn next(
        &mut self,
        input: &mut mpsc::Receiver<io::Result<Bytes>>,
    ) -> Result<Option<Result<String, usize>>, Failure> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            let chunk = input.recv().await.transpose();
            match chunk.map_err(|error| Failure::Failed(format!("could not read standard input: {error}")))? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => {
                    self.ended = true;
                    if !self.rest.is_empty() {
                        self.rest.push(b'\n');
                    }
                }
            }
        }
    }

    fn take(&mut self) -> Option<Result<String, usize>> {
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else {
            if self.rest.len() > MAX_LINE {
                self.skipped += self.rest.len();
                self.rest.clear();
            }
            return None;
        };
        let line: Vec<u8> = self.rest.drain(..=end).collect();
        let length = std::mem::take(&mut self.skipped) + line.len() - 1;
        if length > MAX_LINE {
            return Some(Err(MAX_LINE));
        }
        Some(Ok(String::from_utf8_lossy(&line).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<Result<String, usize>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.rest.extend_from_slice(chunk);
            found.extend(std::iter::from_fn(|| lines.take()));
        }
        found
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let found = lines_of(&[b"he", b"llo\nwor", b"ld\n\n"]);
        assert_eq!(found, [Ok("hello\n".into()), Ok("world\n".into()), Ok("\n".into())]);
    }

    #[test]
    fn bytes_that_are_no_text_harm_nobody() {
        assert_eq!(lines_of(&[b"a\xff\xfeb\n"]), [Ok("a\u{fffd}\u{fffd}b\n".into())]);
    }

    #[test]
    fn a_line_of_megabytes_is_passed_over_and_the_next_one_is_read() {
        let piece = vec![b'x'; 100_000];
        let found = lines_of(&[&piece, &piece, &piece, b"end\nnext\n"]);
        assert_eq!(found, [Err(MAX_LINE), Ok("next\n".into())]);
        let longest = vec![b'x'; MAX_LINE];
        assert!(lines_of(&[&longest, b"\n"])[0].is_ok());
        assert!(lines_of(&[&longest, b"x\n"])[0].is_err());
    }
}
