//! `http`: requests to what an endpoint serves, one after the other.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use telemesh::HttpOpener as _;
use telemesh::thtp::http::{HeaderName, HeaderValue, Method, Request, Response};
use telemesh::thtp::{Body, RequestError};
use tokio::io::AsyncReadExt as _;

use super::link_up;
use crate::data::{self, Input, Output};
use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::request::{HttpBody, LINK_LIMIT};
use crate::secret::Secret;
use crate::session::Session;

/// Bytes that are read of a file at once.
const PIECE: usize = 64 * 1024;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) paths: Vec<String>,
    pub(super) method: Option<String>,
    pub(super) headers: Vec<String>,
    pub(super) body: Option<HttpBody>,
    pub(super) include: bool,
    pub(super) fail: bool,
}

/// Asks for one path after the other.
pub(super) async fn run(
    endpoint: &Endpoint,
    session: &Session,
    to: &Secret,
    asked: Asked,
) -> Result<(), Failure> {
    // Before anybody is dialled.
    let requests: Vec<_> = asked.paths.iter().map(|path| asked.request(path)).collect::<Result<_, _>>()?;
    let dialled = endpoint.dial(to, LINK_LIMIT).await?;
    session.happened(link_up(endpoint, &dialled.link)).await?;
    let pipe = endpoint.pipes().begin();
    let opened = Happened::Open { hashname: dialled.link.hashname().to_string(), pipe: pipe.number };
    let data = session.open(opened).await?;
    let (input, mut output) = data::both(data.clone());
    let mut input = Some(input);
    let exchange = async {
        for request in requests {
            let body = asked.body(&mut input).await?;
            let response =
                dialled.link.http(request.map(|()| body)).await.map_err(|error| failure(&error))?;
            asked.show(response, &mut output).await?;
        }
        output.finish().await
    };
    let result = exchange.await;
    data.settle();
    pipe.ended(&result);
    result
}

impl Asked {
    fn request(&self, path: &str) -> Result<Request<()>, Failure> {
        let default = if self.body.is_some() { "POST" } else { "GET" };
        let method = Method::from_bytes(self.method.as_deref().unwrap_or(default).as_bytes());
        let method = method.map_err(|_| Failure::Usage("that is no method".into()))?;
        let mut request = Request::new(());
        *request.method_mut() = method;
        let is_path = path.starts_with('/') || path == "*";
        let uri = path.parse().ok().filter(|_| is_path);
        *request.uri_mut() =
            uri.ok_or_else(|| Failure::Usage(format!("{path} is no path like /notes?all")))?;
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .and_then(|(name, value)| {
                    Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
                })
                .ok_or_else(|| Failure::Usage("a header is a name, a colon and a value".into()))?;
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }

    async fn body(&self, input: &mut Option<Input>) -> Result<Body, Failure> {
        Ok(match &self.body {
            None => Body::empty(),
            Some(HttpBody::Text(text)) => Body::from(text.clone()),
            Some(HttpBody::File(path)) => file(path).await?,
            Some(HttpBody::Input) => match input.take() {
                Some(input) => Body::from_stream(stream::try_unfold(input, |mut input| async move {
                    let chunk =
                        input.next().await.map_err(|failure| io::Error::other(failure.to_string()))?;
                    Ok::<_, io::Error>(chunk.map(|chunk| (chunk, input)))
                })),
                None => Body::empty(),
            },
        })
    }

    async fn show(&self, response: Response<Body>, output: &mut Output) -> Result<(), Failure> {
        let (head, mut body) = response.into_parts();
        if self.fail && head.status.as_u16() >= 400 {
            return Err(Failure::Failed(format!("the answer is {}", head.status)));
        }
        if self.include {
            let mut text = format!("HTTP/1.1 {}\r\n", head.status);
            for (name, value) in &head.headers {
                // Writing to a string does not fail.
                let _ = write!(text, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
            }
            output.write_bytes(format!("{text}\r\n").as_bytes()).await?;
        }
        let cut = |error| Failure::Failed(format!("the answer is not whole: {error}"));
        while let Some(chunk) = body.chunk().await.map_err(cut)? {
            output.write_bytes(&chunk).await?;
        }
        Ok(())
    }
}

/// A file as a body, as it is read.
async fn file(path: &Path) -> Result<Body, Failure> {
    let cannot = |error| Failure::Failed(format!("cannot read {}: {error}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(cannot)?;
    Ok(Body::from_stream(stream::try_unfold(file, |mut file| async move {
        let mut buffer = Vec::with_capacity(PIECE);
        let count = file.read_buf(&mut buffer).await?;
        Ok::<_, io::Error>((count > 0).then(|| (Bytes::from(buffer), file)))
    })))
}

fn failure(error: &RequestError) -> Failure {
    match error {
        RequestError::Refused(_) => Failure::Refused(error.to_string()),
        RequestError::Request(_) => Failure::Usage(error.to_string()),
        RequestError::Open(_) => Failure::Unreachable(error.to_string()),
        _ => Failure::Failed(error.to_string()),
    }
}
