//! The application: a page, and a WebSocket over which everybody who has it open hears of every change.
//!
//! The text is sent whole each time, which is fine for notes: whoever typed last is right. It is kept in a file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use tokio::sync::watch;

/// Bytes of the notes: more is a document, and wants another program.
const MAX_NOTES: usize = 256 * 1024;

/// The notes, as everybody has them.
struct Notes {
    /// The text, and how many changes there were.
    text: watch::Sender<(u64, Utf8Bytes)>,
    file: PathBuf,
    /// Held while the file is written, so that the last change is written last.
    writing: Mutex<()>,
}

/// The application, with the notes of this file, which may be missing.
///
/// # Errors
/// The file cannot be read, or is no text.
pub(crate) async fn router(file: PathBuf) -> io::Result<Router> {
    let text = match tokio::fs::read_to_string(&file).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let notes = Notes { text: watch::Sender::new((0, text.into())), file, writing: Mutex::default() };
    Ok(Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/changes", any(changes))
        .with_state(Arc::new(notes)))
}

async fn changes(State(notes): State<Arc<Notes>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(MAX_NOTES).on_upgrade(|socket| serve(notes, socket))
}

/// Tells one browser of all changes, and everybody else of its.
async fn serve(notes: Arc<Notes>, mut socket: WebSocket) {
    let mut text = notes.text.subscribe();
    text.mark_changed();
    loop {
        tokio::select! {
            changed = text.changed() => {
                let (_, now) = text.borrow_and_update().clone();
                if changed.is_err() || socket.send(Message::Text(now)).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(new))) => {
                    notes.change(new);
                    // Its own change comes back to nobody who has typed on since.
                    text.mark_unchanged();
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

impl Notes {
    fn change(self: &Arc<Self>, new: Utf8Bytes) {
        self.text.send_modify(|(number, text)| {
            *number += 1;
            *text = new;
        });
        let notes = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _writing = notes.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let (_, text) = notes.text.borrow().clone();
            // The browsers have it all the same, and the next change is written again.
            let _ = write(&notes.file, text.as_str());
        });
    }
}

/// Whole or not at all.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use telemesh::thtp::SERVE;
    use telemesh::ws::Message;
    use telemesh::{HttpServer as _, WsOpener as _};
    use telemesh_channel::{Opener as _, memory};

    use super::*;

    #[tokio::test]
    async fn what_one_types_the_other_sees_and_the_file_keeps() {
        let folder = std::env::temp_dir().join(format!("telemesh-notes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("notes.txt");
        std::fs::write(&file, "milk").unwrap();
        let pair = memory::pair();
        pair.right.grant(pair.to_left.peer(), SERVE);
        pair.right.serve_http(router(file.clone()).await.unwrap()).unwrap();

        let mut one = pair.to_right.ws("/changes").await.unwrap();
        let mut other = pair.to_right.ws("/changes").await.unwrap();
        assert_eq!(one.receive().await.unwrap(), Some(Message::from("milk")));
        assert_eq!(other.receive().await.unwrap(), Some(Message::from("milk")));
        one.send("milk, eggs").await.unwrap();
        assert_eq!(other.receive().await.unwrap(), Some(Message::from("milk, eggs")));
        other.send("milk, eggs, bread").await.unwrap();
        assert_eq!(one.receive().await.unwrap(), Some(Message::from("milk, eggs, bread")));
        // Written by a thread, which is waited for here.
        while std::fs::read_to_string(&file).unwrap() != "milk, eggs, bread" {
            tokio::task::yield_now().await;
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
