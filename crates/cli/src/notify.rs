//! Tells a service manager how far the endpoint is: the protocol of systemd's `sd_notify(3)`, one datagram per word.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable with the manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The endpoint works.
pub(crate) const READY: &str = "READY=1";

/// The endpoint is ending.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Tells whoever has started this process, if they want to know.
pub(crate) fn tell(state: &str) {
    if let Some(socket) = env::var_os(SOCKET)
        && let Err(error) = send(&socket, state)
    {
        // The service goes on without it, and its manager gives up at some point.
        tracing::warn!(%error, state, "the service manager could not be told");
    }
}

fn send(socket: &OsString, state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => sender.send_to_addr(state.as_bytes(), &abstract_address(name)?)?,
        None => sender.send_to(state.as_bytes(), socket)?,
    };
    Ok(())
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_arrives_at_a_path_and_at_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(&path.into_os_string(), READY).unwrap();
        let mut buffer = [0; 64];
        let count = manager.recv(&mut buffer).unwrap();
        assert_eq!(buffer.get(..count).unwrap(), READY.as_bytes());

        #[cfg(target_os = "linux")]
        {
            let name = format!("telemesh-test-{}", std::process::id());
            let manager = UnixDatagram::bind_addr(&abstract_address(name.as_bytes()).unwrap()).unwrap();
            send(&OsString::from(format!("@{name}")), STOPPING).unwrap();
            let count = manager.recv(&mut buffer).unwrap();
            assert_eq!(buffer.get(..count).unwrap(), STOPPING.as_bytes());
        }
    }
}
