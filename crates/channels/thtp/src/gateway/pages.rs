//! What the gateway says itself: plain text, so that nothing in it can be a program.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use telemesh_channel::{Fault, OpenError};
use telemesh_wire::RefusalCode;

use crate::body::Body;
use crate::error::RequestError;

/// A page of one sentence.
pub(super) fn text(status: StatusCode, words: &str) -> Box<Response<Body>> {
    let mut response = Response::new(Body::from(format!("{words}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Box::new(response)
}

/// Why there is no response of the peer's. What the peer said is escaped.
pub(super) fn failure(error: &RequestError) -> Box<Response<Body>> {
    let status = match error {
        RequestError::Refused(refusal) if refusal.code() == RefusalCode::NotAllowed => StatusCode::FORBIDDEN,
        RequestError::Refused(refusal) if refusal.code() == RefusalCode::Busy => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RequestError::Request(_) => StatusCode::BAD_REQUEST,
        RequestError::Open(OpenError::TooMany) => StatusCode::SERVICE_UNAVAILABLE,
        error if error.fault() == Some(Fault::Network) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    text(status, &format!("The endpoint gave no response: {error}."))
}
