//! A chat on a screen: the terminal is taken, drawn upon whenever something has happened, and given back whatever happens.

mod editor;
mod model;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::command::{self, HELP, Typed};
use super::talk::{Asker, Talk};
use crate::failure::Failure;
use crate::output::Output;
use crate::request::Request;
use model::Model;
use terminal::Screen;

/// Requests that may wait for the endpoint.
const QUEUE: usize = 256;

/// After so long without a key we have stopped typing.
const TYPING: Duration = Duration::from_secs(5);

/// The word for how somebody is reached.
pub(super) fn way(path: &str) -> &'static str {
    if path.starts_with("peer:") { "router" } else { "direct" }
}

/// What is to be done after a key.
#[derive(Debug, PartialEq)]
pub(super) enum Wish {
    Ask(Request),
    Quit,
}

/// Runs until somebody ends it.
pub(super) async fn run(mut talk: Talk, output: Output) -> Result<(), Failure> {
    // What has to be passed on to somebody else has to stay on the screen that one can copy from.
    let mut model = Model::default();
    while !model.is_open() {
        let Some(event) = talk.next().await? else { return Err(ended()) };
        if let Some(line) = model.before_opening(&event) {
            // Each on its own: what is shown as one line has no breaks in it.
            for line in line.lines() {
                output.line(line)?;
            }
        }
        model.happened(&event);
    }
    let (requests, failures) = worker(talk.asker());
    let mut screen = Screen::take()?;
    let result = converse(&mut talk, &mut model, &mut screen, &requests, failures).await;
    drop(screen);
    result
}

async fn converse(
    talk: &mut Talk,
    model: &mut Model,
    screen: &mut Screen,
    requests: &mpsc::Sender<Request>,
    mut failures: mpsc::Receiver<Failure>,
) -> Result<(), Failure> {
    let mut keys = terminal::inputs();
    let mut typed: Option<Instant> = None;
    loop {
        // What was just shown was read.
        if let Some(request) = model.read() {
            let _ = requests.try_send(request);
        }
        screen.draw(|frame| view::draw(frame, model))?;
        tokio::select! {
            event = talk.next() => match event? {
                Some(event) => model.happened(&event),
                None => return Err(ended()),
            },
            input = keys.recv() => {
                let Some(input) = input else { return Err(Failure::Failed("the terminal is gone".into())) };
                let before = model.editor.is_empty();
                match handle(model, input) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Ask(request)) if requests.try_send(request.clone()).is_err() => {
                        model.notice("the endpoint does not answer".to_owned());
                    }
                    Some(Wish::Ask(_)) | None => {}
                }
                let typing = !model.editor.is_empty() && !model.editor.text().starts_with('/');
                if typing && before && typed.is_none() {
                    tell_typing(model, requests, true);
                }
                if !typing && typed.is_some() {
                    tell_typing(model, requests, false);
                }
                typed = typing.then(Instant::now);
            }
            Some(failure) = failures.recv() => model.notice(failure.to_string()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                if typed.is_some_and(|at| at.elapsed() > TYPING) {
                    typed = None;
                    tell_typing(model, requests, false);
                }
            }
        }
        model.forget_typing();
    }
}

/// Tells the others that we type, or have stopped, if the endpoint has the time.
fn tell_typing(model: &Model, requests: &mpsc::Sender<Request>, typing: bool) {
    if let Some(request) = model.ask_typing(typing) {
        let _ = requests.try_send(request);
    }
}

/// Asks for one thing after the other, so that what was typed first is said first.
fn worker(asker: Asker) -> (mpsc::Sender<Request>, mpsc::Receiver<Failure>) {
    let (requests, mut to_ask) = mpsc::channel(QUEUE);
    let (failed, failures) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(request) = to_ask.recv().await {
            if let Err(failure) = asker.ask(request).await
                && failed.send(failure).await.is_err()
            {
                return;
            }
        }
    });
    (requests, failures)
}

fn ended() -> Failure {
    Failure::Failed("the chat has ended".into())
}

/// What a key, a paste or a change of the window does.
pub(super) fn handle(model: &mut Model, input: Input) -> Option<Wish> {
    match input {
        Input::Key(key) if key.kind != KeyEventKind::Release => {
            model.focus(true);
            on_key(model, key)
        }
        Input::Paste(text) => {
            model.editor.insert(&text);
            None
        }
        Input::FocusGained | Input::FocusLost => {
            model.focus(input == Input::FocusGained);
            None
        }
        // The next drawing uses the new size.
        _ => None,
    }
}

fn on_key(model: &mut Model, key: KeyEvent) -> Option<Wish> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'q') if control => return Some(Wish::Quit),
        KeyCode::Char('d') if control && model.editor.is_empty() => return Some(Wish::Quit),
        KeyCode::Char('u') if control => model.editor.clear(),
        KeyCode::Char('w') if control => model.editor.delete_word(),
        KeyCode::Char('a') if control => model.editor.home(),
        KeyCode::Char('e') if control => model.editor.end(),
        KeyCode::Enter if key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SHIFT) => {
            model.editor.insert("\n");
        }
        KeyCode::Enter => return send(model),
        KeyCode::Char(_) if control => {}
        KeyCode::Char(character) => model.editor.insert(character.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace => model.editor.backspace(),
        KeyCode::Delete => model.editor.delete(),
        KeyCode::Left => model.editor.left(),
        KeyCode::Right => drop(model.editor.right()),
        KeyCode::End if control || model.editor.is_empty() => model.show_end(),
        KeyCode::Home => model.editor.home(),
        KeyCode::End => model.editor.end(),
        KeyCode::PageUp => model.scroll(true),
        KeyCode::PageDown => model.scroll(false),
        KeyCode::Up if model.editor.is_empty() => model.edit_last(),
        KeyCode::Esc => {
            model.editor.clear();
            model.show_end();
        }
        _ => {}
    }
    None
}

fn send(model: &mut Model) -> Option<Wish> {
    let chat = model.chat()?.to_owned();
    let typed = command::read(model.editor.text(), &chat);
    if let Typed::Wrong(why) = typed {
        // It stays to be put right.
        model.notice(why);
        return None;
    }
    model.editor.clear();
    match typed {
        Typed::Ask(request) => {
            model.show_end();
            Some(Wish::Ask(request))
        }
        Typed::Quit => Some(Wish::Quit),
        Typed::Help => {
            model.notice(HELP.to_owned());
            None
        }
        Typed::Who => {
            model.notice(model.who());
            None
        }
        Typed::Nothing | Typed::Wrong(_) => None,
    }
}
