//! A chat from outside: events that come, and requests that are answered, by an endpoint in this process or by the one that is
//! up.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::actions;
use crate::console::Console;
use crate::context::{Context, Served};
#[cfg(unix)]
use crate::control::client::Client;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::failure::Failure;
use crate::listen::ListenAddress;
use crate::request::Request;
use crate::session::{Data, Session};
#[cfg(unix)]
use std::path::PathBuf;

/// Events that may wait to be shown.
const QUEUE: usize = 64;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Talk {
    events: mpsc::Receiver<Result<Event, Failure>>,
    asker: Asker,
    task: JoinHandle<()>,
}

/// Has requests carried out beside the chat.
#[derive(Debug, Clone)]
pub(crate) enum Asker {
    Here(Endpoint),
    #[cfg(unix)]
    Up(PathBuf),
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Talk {
    /// Begins to show a chat.
    ///
    /// # Errors
    /// [`Failure`]: no endpoint.
    pub(crate) async fn begin(
        context: &Context,
        request: &Request,
        listen: &[ListenAddress],
    ) -> Result<Self, Failure> {
        let (sender, events) = mpsc::channel(QUEUE);
        match context.served(request, listen).await? {
            Served::Here(endpoint) => {
                let task = tokio::spawn(carry_out(endpoint.clone(), request.clone(), sender));
                Ok(Self { events, asker: Asker::Here(endpoint), task })
            }
            #[cfg(unix)]
            Served::Up(client) => {
                let home = client.home();
                client.send(request).await?;
                let task = tokio::spawn(forward(client, sender));
                Ok(Self { events, asker: Asker::Up(home), task })
            }
        }
    }

    /// The next event; `None` when the chat has ended.
    ///
    /// # Errors
    /// Why it has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        self.events.recv().await.transpose()
    }

    pub(crate) fn asker(&self) -> Asker {
        self.asker.clone()
    }
}

impl Asker {
    /// Has a request carried out, and gives what it has said last.
    ///
    /// # Errors
    /// What the endpoint says.
    pub(crate) async fn ask(&self, request: Request) -> Result<Option<Event>, Failure> {
        match self {
            Self::Here(endpoint) => {
                let (session, mut events) = Session::new(Data::Stdio(Console::nobody()));
                let command = async {
                    let result = actions::carry_out(endpoint, &session, request).await;
                    drop(session);
                    result
                };
                let heard = async {
                    let mut last = None;
                    while let Some(item) = events.recv().await {
                        last = Some(item.event);
                    }
                    last
                };
                let (result, last) = tokio::join!(command, heard);
                result.map(|()| last)
            }
            #[cfg(unix)]
            Self::Up(home) => {
                let client = Client::connect(home).await?;
                let client = client.ok_or_else(|| Failure::Failed("the endpoint is no more".into()))?;
                client.send(&request).await?;
                let mut last = None;
                while let Some(event) = client.next_event().await? {
                    last = Some(event);
                }
                Ok(last)
            }
        }
    }
}

async fn carry_out(endpoint: Endpoint, request: Request, events: mpsc::Sender<Result<Event, Failure>>) {
    let (session, mut said) = Session::new(Data::Stdio(Console::nobody()));
    let command = async {
        let result = actions::carry_out(&endpoint, &session, request).await;
        drop(session);
        result
    };
    let forward = async {
        while let Some(item) = said.recv().await {
            if events.send(Ok(item.event)).await.is_err() {
                return;
            }
        }
    };
    if let (Err(failure), ()) = tokio::join!(command, forward) {
        // Whoever has stopped listening does not want to know.
        let _ = events.send(Err(failure)).await;
    }
}

#[cfg(unix)]
async fn forward(client: Client, events: mpsc::Sender<Result<Event, Failure>>) {
    loop {
        let event = match client.next_event().await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => return,
            Err(failure) => Err(failure),
        };
        let over = event.is_err();
        if events.send(event).await.is_err() || over {
            return;
        }
    }
}
