//! What an endpoint does with the channels that peers open: the one handler of each type, and who waits for what.
//!
//! A stream of plain bytes goes to whoever has waited longest, measurements are answered while somebody wants them to be, and
//! tunnels go to what was granted, and
//! everything else is refused in words. Each decision is told to whoever listens.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use telemesh::files::{self, FILES};
use telemesh::sock::Sock;
use telemesh::stream::StreamRequest;
use telemesh::{
    Acceptor as _, HandleError, Hashname, Incoming, Mesh, Refusal, RefusalCode, SockNetwork as _,
    StreamAcceptor as _,
};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::actions::perf::protocol::{self, PERF};
use crate::failure::Failure;

/// Decisions that a listener may not have read yet. Older ones are then left out.
const UNREAD: usize = 256;

/// The channel type of streams, for people.
const STREAM: &str = "stream";

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Hub {
    streams: Mutex<VecDeque<oneshot::Sender<StreamRequest>>>,
    measurements: Arc<AtomicUsize>,
    files: Mutex<Option<mpsc::UnboundedSender<files::Request>>>,
    sock: Sock,
    decisions: broadcast::Sender<Decision>,
}

/// What became of a channel that a peer opened.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) peer: Hashname,
    pub(crate) channel_type: &'static str,
    /// Why it was refused, or `None` if it was not.
    pub(crate) refused: Option<&'static str>,
}

/// Measurements are answered while this is there.
#[derive(Debug)]
pub(crate) struct Answering(Arc<AtomicUsize>);

/// The files that peers send.
#[derive(Debug)]
pub(crate) struct ReceivedFiles(mpsc::UnboundedReceiver<files::Request>);

impl ReceivedFiles {
    /// The next transfer; `None` if the endpoint has ended.
    pub(crate) async fn next(&mut self) -> Option<files::Request> {
        self.0.recv().await
    }
}

impl Hub {
    /// Takes the channels of a mesh that has just been created.
    ///
    /// # Errors
    /// [`HandleError`], which does not happen: nobody else has registered anything yet.
    pub(crate) fn start(mesh: &Mesh) -> Result<Arc<Self>, HandleError> {
        let hub = Arc::new(Self {
            streams: Mutex::default(),
            measurements: Arc::default(),
            files: Mutex::default(),
            sock: mesh.on_sock_granted()?,
            decisions: broadcast::channel(UNREAD).0,
        });
        let mut requests = mesh.on_stream()?.requests();
        let streams = hub.clone();
        // Ends with the mesh, whose handler then is gone.
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                streams.hand_out(request);
            }
        });
        let perf = hub.clone();
        let answer = move |incoming: Incoming| {
            let hub = perf.clone();
            async move { hub.measure(incoming).await }
        };
        mesh.handle(PERF, Arc::new(answer))?;
        let receiver = hub.clone();
        let take = move |incoming: Incoming| {
            receiver.hand_over(incoming);
            std::future::ready(())
        };
        mesh.handle(FILES, Arc::new(take))?;
        Ok(hub)
    }

    /// The next stream of plain bytes that nobody else waits for. Whoever drops it waits no more.
    pub(crate) fn next_stream(&self) -> oneshot::Receiver<StreamRequest> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|waiter| !waiter.is_closed());
        waiting.push_back(sender);
        receiver
    }

    /// Measurements are answered from now on.
    pub(crate) fn answer_measurements(&self) -> Answering {
        self.measurements.fetch_add(1, Ordering::Relaxed);
        Answering(self.measurements.clone())
    }

    /// All files that peers send from now on, for as long as it is there.
    ///
    /// # Errors
    /// When somebody takes them already: who of the two should have them?
    pub(crate) fn receive_files(&self) -> Result<ReceivedFiles, Failure> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.as_ref().is_some_and(|taken| !taken.is_closed()) {
            return Err(Failure::Failed(
                "files are received already: end that `telemesh receive` first".into(),
            ));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        *files = Some(sender);
        Ok(ReceivedFiles(receiver))
    }

    fn hand_over(&self, incoming: Incoming) {
        let peer = incoming.peer();
        // It has refused the channel if it fails.
        let Ok(request) = files::Request::read(incoming) else { return };
        let receiver = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // As many wait as the mesh lets a peer open.
        let refused = match receiver {
            Some(receiver) => receiver.send(request).err().map(|back| back.0),
            None => Some(request),
        };
        let reason = "nobody receives files here";
        self.tell(Decision { peer, channel_type: FILES, refused: refused.is_some().then_some(reason) });
        if let Some(request) = refused {
            request.refuse(Refusal::new(RefusalCode::NotAllowed, reason));
        }
    }

    /// The service that opens tunnels for contacts as they were granted, and takes connections from listeners of ours.
    pub(crate) fn sock(&self) -> &Sock {
        &self.sock
    }

    /// What becomes of channels from now on.
    pub(crate) fn decisions(&self) -> broadcast::Receiver<Decision> {
        self.decisions.subscribe()
    }

    fn hand_out(&self, request: StreamRequest) {
        let peer = request.peer();
        if request.encoding().is_some() {
            return self.refuse_stream(request, RefusalCode::NotAllowed, "this end takes plain bytes");
        }
        let mut request = request;
        loop {
            let waiter = self.streams.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(waiter) = waiter else {
                let reason = "nobody waits for a stream here";
                return self.refuse_stream(request, RefusalCode::NotAllowed, reason);
            };
            match waiter.send(request) {
                Ok(()) => return self.tell(Decision { peer, channel_type: STREAM, refused: None }),
                // That one has gone.
                Err(back) => request = back,
            }
        }
    }

    fn refuse_stream(&self, request: StreamRequest, code: RefusalCode, reason: &'static str) {
        self.tell(Decision { peer: request.peer(), channel_type: STREAM, refused: Some(reason) });
        request.refuse(Refusal::new(code, reason));
    }

    async fn measure(&self, incoming: Incoming) {
        // Those that are answered are not told: a measurement opens thousands of them.
        if self.measurements.load(Ordering::Relaxed) > 0 {
            return protocol::answer(incoming).await;
        }
        let reason = "nobody answers measurements here";
        self.tell(Decision { peer: incoming.peer(), channel_type: PERF, refused: Some(reason) });
        incoming.refuse(Refusal::new(RefusalCode::NotAllowed, reason));
    }

    fn tell(&self, decision: Decision) {
        // Mostly nobody listens.
        let _ = self.decisions.send(decision);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
