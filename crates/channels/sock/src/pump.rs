//! The copy loop: bytes between a channel and a TCP connection, each direction until its own end.
//!
//! A connection at rest holds no buffer. Bytes pass through one buffer per thread, and only what the next side does not take is
//! kept with the connection: at most [`MAX_PIECE`] each way, and then nothing more is read, so that each side waits for the
//! slower one.
//!
//! | the socket's | becomes the channel's | and back |
//! |---|---|---|
//! | end (FIN) | end | `shutdown` of the sending half |
//! | reset (RST) | reset, [`SOCKET_RESET`] | RST, as for every other way in which a channel breaks |

use std::future::{Future, poll_fn};
use std::io::{self, Read as _};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use telemesh_channel::{Channel, ChannelError};
use tokio::io::{AsyncRead as _, AsyncWrite as _, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::{SIZE, with_buffer};
use crate::sockets;

/// Code with which a channel is reset whose connection was reset or failed.
pub const SOCKET_RESET: u32 = 1;

/// What went through a tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes from the socket to the channel.
    pub to_channel: u64,
    /// Bytes from the channel to the socket.
    pub to_socket: u64,
    /// Whether both directions came to their end, and none was reset.
    pub in_order: bool,
    /// What the channel has failed with: for example that the peer refused it.
    pub failed: Option<ChannelError>,
}

/// Joins a channel and a connection until both directions have ended. Dropping the future resets both.
pub async fn join(channel: Channel, socket: TcpStream) -> Traffic {
    sockets::prepare(&socket);
    let mut tunnel = Tunnel { channel, outward: Half::default(), inward: Half::default(), cut: false };
    let result = {
        // A reset is also seen while nothing is read, because the channel takes no more or the reading has ended.
        let mut failed = pin!(socket.ready(Interest::ERROR));
        let guard = AbortOnDrop(&socket);
        let result = poll_fn(|cx| match tunnel.poll(cx, &socket) {
            Poll::Pending if tunnel.outward.is_deaf() => {
                failed.as_mut().poll(cx).map(|_| Err(Broken::Socket))
            }
            result => result,
        })
        .await;
        std::mem::forget(guard);
        result
    };
    let in_order = result.is_ok();
    let mut failed = None;
    if let Err(broken) = result {
        sockets::abort(&socket);
        let code = SOCKET_RESET;
        match broken {
            Broken::Channel(error) => {
                failed = error;
                tunnel.channel.reset(telemesh_channel::CANCELLED);
            }
            // Its end is under way already, and stays what it is.
            Broken::Socket if tunnel.outward.is_over() => tunnel.channel.stop_reading(code),
            Broken::Socket => tunnel.channel.reset(code),
        }
    }
    Traffic { to_channel: tunnel.outward.moved, to_socket: tunnel.inward.moved, in_order, failed }
}

/// A tunnel that is dropped in the middle does not look like one that has ended.
struct AbortOnDrop<'a>(&'a TcpStream);

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        sockets::abort(self.0);
    }
}

/// What has failed.
#[derive(Debug)]
enum Broken {
    Socket,
    Channel(Option<ChannelError>),
}

impl Broken {
    fn channel(error: &io::Error) -> Self {
        Self::Channel(ChannelError::of(error).cloned())
    }
}

struct Tunnel {
    channel: Channel,
    /// From the socket to the channel.
    outward: Half,
    /// From the channel to the socket.
    inward: Half,
    /// The peer wants no more of what the socket sends: it is cut once all has arrived that the peer has sent before.
    cut: bool,
}

/// One direction.
struct Half {
    stage: Stage,
    /// How much is read at once, in bytes.
    piece: usize,
    moved: u64,
}

enum Stage {
    Reading,
    /// What was read, and how much of it is written already.
    Writing(Box<[u8]>, usize),
    Finishing,
    Over,
}

impl Default for Half {
    fn default() -> Self {
        Self { stage: Stage::Reading, piece: FIRST_PIECE, moved: 0 }
    }
}

impl Half {
    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether nothing is read from the socket now, so that its reading does not tell of a reset.
    fn is_deaf(&self) -> bool {
        !matches!(self.stage, Stage::Reading)
    }

    /// So much of `data` was written before the other side took no more.
    fn written(&mut self, data: &[u8], count: usize) {
        self.moved += count as u64;
        match data.get(count..) {
            None | Some([]) => {
                if data.len() == self.piece {
                    self.piece = (self.piece * 2).min(MAX_PIECE);
                }
                self.stage = Stage::Reading;
            }
            Some(rest) => {
                self.piece = (self.piece / 2).max(FIRST_PIECE);
                self.stage = Stage::Writing(rest.into(), 0);
            }
        }
    }
}

impl Tunnel {
    fn poll(&mut self, cx: &mut Context<'_>, socket: &TcpStream) -> Poll<Result<(), Broken>> {
        if let Poll::Ready(Err(broken)) = self.poll_outward(cx, socket) {
            return Poll::Ready(Err(broken));
        }
        if let Poll::Ready(Err(broken)) = self.poll_inward(cx, socket) {
            return Poll::Ready(Err(broken));
        }
        match (self.outward.is_over(), self.inward.is_over()) {
            (_, true) if self.cut => Poll::Ready(Err(Broken::Channel(None))),
            (true, true) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    fn poll_outward(&mut self, cx: &mut Context<'_>, socket: &TcpStream) -> Poll<Result<(), Broken>> {
        while !self.cut {
            match &mut self.outward.stage {
                Stage::Reading => {
                    ready!(socket.poll_read_ready(cx)).map_err(|_| Broken::Socket)?;
                    let piece = self.outward.piece;
                    with_buffer(piece, |buffer| match read_now(socket, buffer) {
                        Ok(0) => {
                            self.outward.stage = Stage::Finishing;
                            Ok(())
                        }
                        Ok(count) => self.send(cx, buffer.get(..count).unwrap_or_default()),
                        // The next round waits.
                        Err(error) if is_not_now(&error) => Ok(()),
                        Err(_) => Err(Broken::Socket),
                    })?;
                }
                Stage::Writing(data, at) => {
                    let left = data.get(*at..).unwrap_or_default();
                    let count = match ready!(Pin::new(&mut self.channel).poll_write(cx, left)) {
                        Ok(count) => count,
                        Err(error) => return Poll::Ready(self.refused(&error)),
                    };
                    *at += count;
                    self.outward.moved += count as u64;
                    if *at >= data.len() {
                        self.outward.stage = Stage::Reading;
                    }
                }
                Stage::Finishing => {
                    let finished = ready!(Pin::new(&mut self.channel).poll_shutdown(cx));
                    self.outward.stage = Stage::Over;
                    if let Err(error) = finished {
                        return Poll::Ready(self.refused(&error));
                    }
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
        Poll::Pending
    }

    /// Writes to the channel what was read from the socket, and keeps what it does not take.
    fn send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Result<(), Broken> {
        let mut written = 0;
        while let Some(left) = data.get(written..).filter(|left| !left.is_empty()) {
            match Pin::new(&mut self.channel).poll_write(cx, left) {
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return self.refused(&error),
                Poll::Pending => break,
            }
        }
        self.outward.written(data, written);
        Ok(())
    }

    /// The channel takes no more. If only this direction has ended, the other one comes to its end first.
    fn refused(&mut self, error: &io::Error) -> Result<(), Broken> {
        if matches!(ChannelError::of(error), Some(ChannelError::Stopped(_))) {
            self.cut = true;
            self.channel.reset_writing(telemesh_channel::CANCELLED);
            return Ok(());
        }
        Err(Broken::channel(error))
    }

    fn poll_inward(&mut self, cx: &mut Context<'_>, socket: &TcpStream) -> Poll<Result<(), Broken>> {
        loop {
            match &mut self.inward.stage {
                Stage::Reading => {
                    // What the socket does not take stays in the channel, whose peer then waits.
                    ready!(socket.poll_write_ready(cx)).map_err(|_| Broken::Socket)?;
                    let piece = self.inward.piece;
                    ready!(with_buffer(piece, |buffer| self.receive(cx, socket, buffer)))?;
                }
                Stage::Writing(data, at) => {
                    ready!(socket.poll_write_ready(cx)).map_err(|_| Broken::Socket)?;
                    match socket.try_write(data.get(*at..).unwrap_or_default()) {
                        Ok(count) => {
                            *at += count;
                            self.inward.moved += count as u64;
                            if *at >= data.len() {
                                self.inward.stage = Stage::Reading;
                            }
                        }
                        Err(error) if is_not_now(&error) => {}
                        Err(_) => return Poll::Ready(Err(Broken::Socket)),
                    }
                }
                Stage::Finishing => {
                    sockets::finish(socket).map_err(|_| Broken::Socket)?;
                    self.inward.stage = Stage::Over;
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads from the channel and writes to the socket; keeps what that does not take.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        socket: &TcpStream,
        buffer: &mut [u8],
    ) -> Poll<Result<(), Broken>> {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.channel).poll_read(cx, &mut read))
            .map_err(|error| Broken::channel(&error))?;
        let data = read.filled();
        if data.is_empty() {
            self.inward.stage = Stage::Finishing;
            return Poll::Ready(Ok(()));
        }
        let mut written = 0;
        while let Some(left) = data.get(written..).filter(|left| !left.is_empty()) {
            match socket.try_write(left) {
                Ok(count) => written += count,
                Err(error) if is_not_now(&error) => break,
                Err(_) => return Poll::Ready(Err(Broken::Socket)),
            }
        }
        self.inward.written(data, written);
        Poll::Ready(Ok(()))
    }
}

/// Reads what is there. Less than there is room for has emptied the socket: then the next round waits without asking the system
/// again, where it tells of whatever comes after that (epoll, edge-triggered).
fn read_now(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = None;
    let result = socket.try_io(Interest::READABLE, || {
        let read = (&*SockRef::from(socket)).read(buffer)?;
        count = Some(read);
        let emptied = cfg!(target_os = "linux") && (1..buffer.len()).contains(&read);
        if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match (count, result) {
        (Some(count), _) => Ok(count),
        (None, result) => result.map(|()| 0),
    }
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Bytes read at once at first, and after the other side has fallen behind.
const FIRST_PIECE: usize = 16 << 10;

/// The most that is read at once, in bytes, and so the most that a tunnel keeps in each direction: four full batches of packets.
const MAX_PIECE: usize = SIZE;
