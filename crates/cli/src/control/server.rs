//! Accepts connections to the control socket: only the owner's, and not more than there is room for.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::connection::{say_last, serve};
use super::wire::Wire;
use super::{MAX_CONNECTIONS, NAME};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::lock::HomeLock;

/// How long to wait when the system gives no connection, because it has no file descriptor left for example.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket, which is removed at the end.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// Who may connect.
    owner: u32,
}

impl Server {
    /// Opens the socket in a home folder. Whoever holds its lock knows that a socket that is there already is nobody's.
    ///
    /// # Errors
    /// [`Failure`]: a path that is too long, for example.
    pub(crate) fn open(home: &Path, _lock: &HomeLock) -> Result<Self, Failure> {
        let path = home.join(NAME);
        let failed = |error: io::Error| {
            let advice = match error.kind() {
                // About 100 bytes are all that systems permit.
                ErrorKind::InvalidInput => "; choose a home with a shorter path",
                _ => "",
            };
            Failure::Failed(format!("could not open the control socket {}: {error}{advice}", path.display()))
        };
        match fs::symlink_metadata(&path) {
            Ok(there) if there.file_type().is_socket() => fs::remove_file(&path).map_err(failed)?,
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let owner = UnixStream::pair().and_then(|(one, _)| one.peer_cred()).map_err(failed)?.uid();
        Ok(Self { listener, path, owner })
    }

    /// Serves until the endpoint is asked to end, and then only those who wait for that end; the others are told.
    pub(crate) async fn run(&self, endpoint: &Endpoint, connections: &mut JoinSet<()>) {
        let Some(running) = endpoint.running() else { return };
        let mut stopping = std::pin::pin!(running.stopping());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stopping => return,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.take(endpoint, stream, connections),
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(&self, endpoint: &Endpoint, stream: UnixStream, connections: &mut JoinSet<()>) {
        let peer = stream.peer_cred().map(|peer| peer.uid());
        let wire = Arc::new(Wire::new(stream));
        if !peer.is_ok_and(|peer| may_connect(self.owner, peer)) {
            say_last(&wire, &Failure::Refused("this endpoint is another user's".into()));
            return;
        }
        if connections.len() >= MAX_CONNECTIONS {
            let reason = format!("{MAX_CONNECTIONS} commands are being carried out already");
            say_last(&wire, &Failure::Refused(reason));
            return;
        }
        let endpoint = endpoint.clone();
        connections.spawn(async move { serve(&endpoint, wire).await });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it cannot be removed the next endpoint does.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a process of this user may connect. The administrator, who passes the file's mode, may not either: commands write
/// files, and should do so as who owns them.
fn may_connect(owner: u32, peer: u32) -> bool {
    owner == peer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_the_owner_may_connect() {
        assert!(may_connect(1000, 1000));
        assert!(!may_connect(1000, 1001));
        assert!(!may_connect(1000, 0));
    }
}
