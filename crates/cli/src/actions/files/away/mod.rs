//! Files for and from somebody who is away: packed, and left in their box in parts.
//!
//! A part is a message with the label `files`: a version (1), the transfer's id (16 bytes), its number and how many there are (4 bytes
//! each, big-endian), the transfer's name (its length in one byte before it), and up to 4 MiB of the pack. A sender's parts come in
//! order, those of one transfer one after the other. They are acknowledged when all files are in place, so nothing is lost if the
//! receiver ends before that.

mod pack;

use std::collections::HashMap;
use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use telemesh::boxes::{Inbox, Label, Message, MessageId, SendError};
use telemesh::channel::memory::{MemoryEndpoint, connect};
use telemesh::files::{FILES, Offer, Progress, ReceiveError, Report, Request, Target, escaped};
use telemesh::{Acceptor as _, Hashname, Incoming};
use tokio::sync::{Mutex, mpsc};

use super::transferred;
use crate::actions::boxes::word;
use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::session::Session;
use pack::{PackError, UnpackError};

/// Bytes of the pack in one message.
const PART: usize = 4 * 1024 * 1024;

/// Most parts of one transfer.
const MAX_PARTS: u32 = 10;

/// How long to wait for a cache to take what was sent.
const HAND_OVER: Duration = Duration::from_secs(10);

const VERSION: u8 = 1;

/// One transfer's parts after the other.
static SENDING: Mutex<()> = Mutex::const_new(());

fn label() -> Label {
    FILES.parse().unwrap_or_default()
}

/// Leaves files in the box of a contact that is away, or says what else can be done.
///
/// # Errors
/// Too much for a box, or no room.
pub(super) async fn leave(
    endpoint: &Endpoint,
    session: &Session,
    to: Hashname,
    name: &str,
    files: Vec<PathBuf>,
) -> Result<(), Failure> {
    let packed = tokio::task::spawn_blocking(move || pack::pack(&files)).await;
    let packed = packed.map_err(|error| Failure::Failed(error.to_string()))?.map_err(|error| match error {
        PackError::Path { .. } => Failure::Usage(error.to_string()),
        PackError::TooLarge | PackError::TooMany => Failure::Unreachable(format!(
            "they are away, and {error}, which is what a box takes: send it when they are there, or in parts"
        )),
    })?;
    let size = u64::try_from(packed.bytes.len()).unwrap_or(u64::MAX);
    let ids = send(endpoint, &to, name, packed.bytes).await?;
    endpoint.boxes().handed_over(&label(), HAND_OVER).await;
    let pending: Vec<_> =
        endpoint.boxes().outbox().pending().into_iter().filter(|pending| ids.contains(&pending.id)).collect();
    let stage = pending.iter().map(|pending| pending.stage).min().map_or("read", word);
    for path in &packed.left_out {
        let reason = "neither a file nor a folder: it was left out".to_owned();
        session.happened(Happened::Interrupted { transfer: path.display().to_string(), reason }).await?;
    }
    session
        .happened(Happened::LeftFiles {
            hashname: to.to_string(),
            name: endpoint.name_of(&to),
            transfer: name.to_owned(),
            files: packed.files,
            bytes: size,
            stage: stage.to_owned(),
        })
        .await
}

/// All parts, or none.
async fn send(
    endpoint: &Endpoint,
    to: &Hashname,
    name: &str,
    pack: Vec<u8>,
) -> Result<Vec<MessageId>, Failure> {
    let _turn = SENDING.lock().await;
    let outbox = endpoint.boxes().outbox().labelled(label());
    let transfer: [u8; 16] = rand::random();
    let name = name.get(..name.floor_char_boundary(255)).unwrap_or_default();
    let pack = Bytes::from(pack);
    let count = u32::try_from(pack.len().div_ceil(PART).max(1)).unwrap_or(u32::MAX);
    let mut ids = Vec::new();
    for (number, part) in (0..count).zip((0..pack.len().max(1)).step_by(PART)) {
        let part = pack.slice(part..pack.len().min(part + PART));
        match outbox.send(to, encode(transfer, number, count, name, &part)).await {
            Ok(id) => ids.push(id),
            Err(error) => {
                for id in &ids {
                    // If it stays, the recipient drops it: the others never come.
                    let _ = outbox.withdraw(id).await;
                }
                return Err(match error {
                    SendError::Full { .. } => Failure::Unreachable(format!(
                        "they are away, and {error}: `telemesh box list` says what waits for them"
                    )),
                    error => {
                        Failure::Unreachable(format!("they are away, and nothing is left for them: {error}"))
                    }
                });
            }
        }
    }
    Ok(ids)
}

fn encode(transfer: [u8; 16], number: u32, count: u32, name: &str, part: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(0);
    let head = [&[VERSION][..], &transfer, &number.to_be_bytes(), &count.to_be_bytes(), &[length]].concat();
    [&head[..], name.as_bytes(), part].concat()
}

/// A part as it was sent.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    transfer: [u8; 16],
    number: u32,
    count: u32,
    name: String,
    bytes: Bytes,
}

fn decode(content: &Bytes) -> Option<Part> {
    let (version, rest) = content.split_first()?;
    let (transfer, rest) = rest.split_first_chunk::<16>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first()?;
    let (name, bytes) = rest.split_at_checked(usize::from(*length))?;
    let (number, count) = (u32::from_be_bytes(*number), u32::from_be_bytes(*count));
    let fits = *version == VERSION && number < count && count <= MAX_PARTS && bytes.len() <= PART;
    let name = String::from_utf8(name.to_vec()).ok()?;
    fits.then(|| Part { transfer: *transfer, number, count, name, bytes: content.slice_ref(bytes) })
}

/// Takes what was left here into a folder, for as long as somebody receives.
pub(super) struct Left {
    inbox: Option<Inbox>,
    /// What of each sender is not whole.
    arriving: HashMap<Hashname, Arriving>,
}

/// The first parts of a transfer.
struct Arriving {
    transfer: [u8; 16],
    name: String,
    count: u32,
    parts: Vec<Bytes>,
    messages: Vec<Message>,
}

/// A transfer that is here as a whole.
pub(super) struct Whole {
    from: Hashname,
    arriving: Arriving,
}

impl Left {
    pub(super) fn open(endpoint: &Endpoint) -> Self {
        // Somebody else who reads this label, a program through the library, gets all of it.
        Self { inbox: endpoint.boxes().inbox_of(label()).ok(), arriving: HashMap::new() }
    }

    /// Waits for the next transfer that is whole. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Whole {
        loop {
            let message = match &mut self.inbox {
                Some(inbox) => inbox.next().await,
                None => None,
            };
            let Some(message) = message else { std::future::pending().await };
            if let Some(whole) = self.take(message) {
                return whole;
            }
        }
    }

    fn take(&mut self, mut message: Message) -> Option<Whole> {
        let from = message.from();
        let part = decode(&message.take_content());
        let expected = part.as_ref().is_some_and(|part| match self.arriving.get(&from) {
            Some(arriving) if arriving.transfer == part.transfer => {
                arriving.count == part.count
                    && arriving.parts.len() == usize::try_from(part.number).unwrap_or(0)
            }
            _ => part.number == 0,
        });
        let continues = part.as_ref().is_some_and(|part| {
            self.arriving.get(&from).is_some_and(|arriving| arriving.transfer == part.transfer)
        });
        if !continues && let Some(given_up) = self.arriving.remove(&from) {
            // In order, so its other parts never come: their sender has given them up.
            tracing::warn!(from = %from.short(), transfer = %escaped(&given_up.name), "a transfer in parts has ended early");
            acknowledge(given_up.messages);
        }
        let Some(part) = part.filter(|_| expected) else {
            tracing::warn!(from = %from.short(), "a message is no part of files that was expected");
            acknowledge(vec![message]);
            return None;
        };
        let arriving = self.arriving.entry(from).or_insert_with(|| Arriving {
            transfer: part.transfer,
            name: part.name,
            count: part.count,
            parts: Vec::new(),
            messages: Vec::new(),
        });
        arriving.parts.push(part.bytes);
        arriving.messages.push(message);
        if arriving.parts.len() < usize::try_from(arriving.count).unwrap_or(usize::MAX) {
            return None;
        }
        self.arriving.remove(&from).map(|arriving| Whole { from, arriving })
    }
}

/// In a task of its own: what is not acknowledged comes again and is dropped again.
fn acknowledge(messages: Vec<Message>) {
    tokio::spawn(async move {
        for message in messages {
            if let Err(error) = message.ack().await {
                tracing::warn!(%error, "a part of files was not acknowledged");
            }
        }
    });
}

impl Whole {
    /// Puts everything in place and acknowledges it. Whether all of it is there.
    ///
    /// # Errors
    /// The folder cannot be written; it comes again then.
    pub(super) async fn place(
        self,
        endpoint: &Endpoint,
        session: &Session,
        target: &Target,
    ) -> Result<bool, Failure> {
        let Self { from, arriving } = self;
        let began = Instant::now();
        let name = arriving.name.clone();
        let pack = Bytes::from(arriving.parts.concat());
        let unpacked = tokio::task::spawn_blocking(move || {
            let folder = tempfile::tempdir()?;
            let tops = pack::unpack(&pack, folder.path())?;
            Ok::<_, UnpackError>((folder, tops))
        });
        let unpacked = unpacked.await.map_err(|error| Failure::Failed(error.to_string()))?;
        let (folder, tops) = match unpacked {
            Ok(unpacked) => unpacked,
            Err(UnpackError::Io(error)) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Failure::Failed(format!("cannot unpack what was left here: {error}")));
            }
            Err(error) => {
                acknowledge(arriving.messages);
                session.happened(Happened::Interrupted { transfer: name, reason: error.to_string() }).await?;
                return Ok(false);
            }
        };
        let offer =
            Offer::scan(tops).await.map_err(|error| Failure::Failed(error.to_string()))?.with_name(&name);
        session
            .happened(Happened::Transfer {
                hashname: from.to_string(),
                name: endpoint.name_of(&from),
                transfer: name.clone(),
                files: offer.files(),
                bytes: offer.bytes(),
            })
            .await?;
        let report = move_into(from, endpoint.mesh().hashname(), &offer, target).await.map_err(|error| {
            Failure::Failed(format!("cannot write to {}: {error}", target.path().display()))
        })?;
        drop(folder);
        session.happened(transferred(endpoint, &from, &name, &report, began)).await?;
        for message in arriving.messages {
            message.ack().await.map_err(|error| Failure::Failed(error.to_string()))?;
        }
        Ok(report.is_complete())
    }
}

/// Files go the same way as those that come over a link: checked, never outside of the target, with its rules for what is there.
async fn move_into(
    from: Hashname,
    me: Hashname,
    offer: &Offer,
    target: &Target,
) -> Result<Report, ReceiveError> {
    let (sender, receiver) = (MemoryEndpoint::new(from), MemoryEndpoint::new(me));
    let (offers, mut offered) = mpsc::unbounded_channel();
    let hand_over = move |incoming: Incoming| {
        // Nobody waits for it if the transfer has ended.
        let _ = offers.send(incoming);
        ready(())
    };
    receiver
        .handle(FILES, Arc::new(hand_over))
        .map_err(|error| ReceiveError::Local(std::io::Error::other(error)))?;
    let (link, _other) = connect(&sender, &receiver);
    let sent = Progress::new();
    let sending = telemesh::files::send(&*link, offer, &sent);
    let receiving = async {
        let incoming = offered.recv().await;
        let incoming = incoming.ok_or(ReceiveError::NotATransfer("it was not offered"))?;
        Request::read(incoming)?.receive(target, &Progress::new()).await
    };
    tokio::pin!(sending, receiving);
    let mut is_sent = false;
    loop {
        tokio::select! {
            report = &mut receiving => return report,
            result = &mut sending, if !is_sent => {
                is_sent = true;
                if let Err(error) = result {
                    tracing::debug!(%error, "what was left here was not read");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_it_was_written_and_nothing_else_is() {
        let part = Bytes::from(encode([7; 16], 1, 2, "photos", b"bytes"));
        let read = decode(&part).unwrap();
        assert_eq!((read.transfer, read.number, read.count), ([7; 16], 1, 2));
        assert_eq!((read.name.as_str(), &read.bytes[..]), ("photos", &b"bytes"[..]));
        assert!(decode(&Bytes::from(encode([7; 16], 9, MAX_PARTS, "", b""))).is_some());
        for bad in [
            encode([7; 16], 2, 2, "", b""),
            encode([7; 16], 0, MAX_PARTS + 1, "", b""),
            encode([7; 16], 0, 1, "", &vec![0; PART + 1]),
            vec![2; 60],
            part[..25].to_vec(),
            Vec::new(),
        ] {
            assert_eq!(decode(&bad.into()), None);
        }
    }
}
