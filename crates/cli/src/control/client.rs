//! The program's own end of the control socket: sends a request and shows what comes back.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::NAME;
use super::wire::{LineError, Wire};
use crate::console::Console;
use crate::control::lines::Line;
use crate::event::{Event, Happened};
use crate::failure::Failure;
use crate::output::Output;
use crate::render::Renderer;
use crate::request::Request;
use crate::stdio::{self, Sink};

/// Bytes of a line from our own endpoint: the status of as many links as it may have.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// A connection to the endpoint that is up.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire,
    path: PathBuf,
}

/// What an endpoint has answered.
enum Answer {
    Event(String, Box<Event>),
    /// An object that this version of the program does not know.
    Unknown(String),
    Done,
}

impl Client {
    /// Connects to the endpoint that is up on a home; `None` if there is none.
    ///
    /// # Errors
    /// A socket that is there and cannot be used.
    pub(crate) async fn connect(home: &Path) -> Result<Option<Self>, Failure> {
        let path = home.join(NAME);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Some(Self { wire: Wire::new(stream), path })),
            // A path that is too long for a socket is one at which nobody listens.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound
                        | ErrorKind::ConnectionRefused
                        | ErrorKind::InvalidInput
                        | ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(Failure::Failed(format!("could not use the control socket {}: {error}", path.display())))
            }
        }
    }

    /// Has a request carried out and shows what happens.
    ///
    /// # Errors
    /// What the endpoint says, or that it is no more.
    pub(crate) async fn carry_out(self, request: &Request, output: Output) -> Result<(), Failure> {
        let mut renderer = Renderer::new(output, request);
        self.send(request).await?;
        loop {
            match self.answer().await? {
                Answer::Event(line, event) => {
                    renderer.show(&event, Some(&line))?;
                    if let (Event::Happened(Happened::Open { pipe, .. }), true) = (&*event, request.is_data())
                    {
                        return self.relay(*pipe, Console::new(output)).await;
                    }
                }
                Answer::Unknown(line) => renderer.show_unknown(&line)?,
                Answer::Done => return renderer.done(),
            }
        }
    }

    /// The home whose endpoint this is.
    pub(crate) fn home(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// The next event; `None` when the command has ended well.
    ///
    /// # Errors
    /// What the endpoint says, or that it is no more.
    pub(crate) async fn next_event(&self) -> Result<Option<Event>, Failure> {
        loop {
            match self.answer().await? {
                Answer::Event(_, event) => return Ok(Some(*event)),
                Answer::Unknown(_) => {}
                Answer::Done => return Ok(None),
            }
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// A request that cannot be written down.
    pub(crate) async fn send(&self, request: &Request) -> Result<(), Failure> {
        let line = request.to_line()?;
        // If it has been closed already the reason is there to be read.
        let _ = self.wire.write_all(line.as_bytes()).await;
        Ok(())
    }

    async fn answer(&self) -> Result<Answer, Failure> {
        let ended = || Failure::Failed("the endpoint has ended before the command was done".into());
        let line = match self.wire.read_line(MAX_LINE).await {
            Ok(line) => line.ok_or_else(ended)?,
            Err(LineError::TooLong(_)) => {
                return Err(Failure::Failed("the endpoint's answer is too long".into()));
            }
            Err(_) => return Err(ended()),
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        match Line::read(&line)? {
            Line::Failed(failure) => Err(failure),
            Line::Unknown => Ok(Answer::Unknown(line)),
            Line::Event(event) if matches!(*event, Event::Happened(Happened::Done)) => Ok(Answer::Done),
            Line::Event(event) => Ok(Answer::Event(line, event)),
        }
    }

    /// Standard input and output for the bytes that the connection carries now. How it went is asked for on another one.
    async fn relay(self, pipe: u64, console: Console) -> Result<(), Failure> {
        let home = self.path.parent().unwrap_or(Path::new("")).to_owned();
        let asked = Self::connect(&home).await?;
        let outcome = async {
            let Some(asked) = asked else {
                return Err(Failure::Failed("the endpoint is no more".into()));
            };
            asked.send(&Request::Result { pipe }).await?;
            while !matches!(asked.answer().await?, Answer::Done) {}
            Ok(())
        };
        let wire = Arc::new(self.wire);
        let mut outcome = pin!(outcome);
        let all_sent = async {
            // If the endpoint is no more, others notice.
            if let Ok(Some(client)) = Self::connect(&home).await {
                let _ = client.send(&Request::Sent { pipe }).await;
                let _ = client.answer().await;
            }
        };
        let mut bytes = pin!(relay_bytes(&wire, &console, all_sent));
        let mut result = None;
        loop {
            tokio::select! {
                biased;
                relayed = &mut bytes => {
                    console.finish();
                    relayed?;
                    return match result {
                        Some(result) => result,
                        None => outcome.await,
                    };
                }
                ended = &mut outcome, if result.is_none() => {
                    // A failure ends it at once, also for somebody who still types.
                    if ended.is_err() {
                        console.finish();
                        return ended;
                    }
                    result = Some(ended);
                }
            }
        }
    }
}

/// Both directions to their ends. What goes wrong with the connection ends them too: the endpoint knows why. `all_sent` tells
/// it that what was sent is all.
async fn relay_bytes(
    wire: &Wire,
    console: &Console,
    all_sent: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let (received, mut peer_done) = oneshot::channel();
    let sending = async {
        let mut input = stdio::input();
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = input.recv() => chunk,
                _ = &mut peer_done, if console.only_receives() => None,
            };
            let Some(chunk) = chunk else { break };
            let chunk =
                chunk.map_err(|error| Failure::Failed(format!("could not read standard input: {error}")))?;
            if wire.write_all(&chunk).await.is_err() {
                return Ok(());
            }
            console.moved(chunk.len());
        }
        let _ = wire.finish();
        all_sent.await;
        Ok(())
    };
    let receiving = async {
        let mut sink = Sink::new();
        while let Ok(Some(chunk)) = wire.read_chunk().await {
            console.moved(chunk.len());
            sink.write_bytes(&chunk).await.map_err(|error| Failure::output(&error))?;
        }
        sink.finish().await.map_err(|error| Failure::output(&error))?;
        if received.send(()).is_ok() {
            console.peer_is_done();
        }
        Ok(())
    };
    tokio::try_join!(sending, receiving).map(|_| ())
}
