//! What `up --serve` serves over HTTP: a folder, or a server on this machine.

use std::path::Path;

use telemesh::HttpServer as _;
use telemesh::Mesh;
use telemesh::thtp::{Folder, Proxy};

use crate::failure::Failure;

/// Serves a folder, or what is behind a URL, to contacts with the grant `serve`.
///
/// # Errors
/// It is neither.
pub(crate) fn serve(mesh: &Mesh, what: &str) -> Result<(), Failure> {
    check(what).map_err(Failure::Usage)?;
    if what.contains("://") {
        let proxy = Proxy::to(what).map_err(|error| Failure::Usage(format!("{what}: {error}")))?;
        mesh.serve_http(proxy)?;
    } else {
        mesh.serve_http(Folder::new(what))?;
    }
    Ok(())
}

/// Whether something can be served.
///
/// # Errors
/// Why not, in words.
pub(crate) fn check(what: &str) -> Result<(), String> {
    if what.contains("://") {
        Proxy::to(what).map(|_| ()).map_err(|error| format!("{what}: {error}"))
    } else if Path::new(what).is_dir() {
        Ok(())
    } else {
        Err(format!("{what} is no folder, and no URL like http://127.0.0.1:3000"))
    }
}
