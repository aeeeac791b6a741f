//! [`Folder`]: the files of a folder, for whoever is served.

use std::convert::Infallible;
use std::path::Path;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode};
use tower_http::services::ServeDir;
use tower_service::Service;

use crate::body::Body;

/// Serves the files of a folder: a tower service for [`serve_http`](crate::HttpServer::serve_http).
///
/// `GET` and `HEAD`, with ranges, modification times, types by the file's name, and `index.html` for a folder. There are no
/// lists of files. Nothing outside is served, nor anything whose name begins with a dot (`.git`, `.env`), except
/// `.well-known`. Symbolic links in the folder are followed: whoever made them wanted that.
#[derive(Clone, Debug)]
pub struct Folder(ServeDir);

impl Folder {
    /// The files of this folder.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self(ServeDir::new(folder))
    }
}

impl Service<Request<Body>> for Folder {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut folder = self.0.clone();
        Box::pin(async move {
            if !is_served(request.uri().path()) {
                return Ok(missing());
            }
            let mut response = folder.call(request).await?.map(Body::new);
            if response.status() == StatusCode::NOT_FOUND {
                response = missing();
            }
            // A browser that guesses types might take a text for a program.
            response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            Ok(response)
        })
    }
}

/// There is nothing of this name: in words, since an empty page looks like an empty file.
fn missing() -> Response<Body> {
    let mut response = Response::new(Body::from("404 Not Found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Whether a path names nothing hidden. `..` is hidden too. Separators that are only there after decoding are no part of
/// any name.
fn is_served(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    if path.contains("%2f") || path.contains("%5c") || path.contains('\\') {
        return false;
    }
    let mut names = path.split('/');
    names.all(|name| name == ".well-known" || !(name.starts_with('.') || name.starts_with("%2e")))
}
