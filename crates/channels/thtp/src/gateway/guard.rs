//! Who may ask for what, decided before anything else is looked at, and in particular before a contact is.

use data_encoding::BASE64;
use http::header::{
    CACHE_CONTROL, COOKIE, LOCATION, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFERRER_POLICY,
    SET_COOKIE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use telemesh_hashname::Hashname;

use super::names::{Kind, Name, with_port};
use super::{Shared, Token, pages};
use crate::body::Body;
use crate::rules::upgrade_of;

/// The header in which scripts send the token.
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("telemesh-token");

/// What is under this belongs to the gateway at every origin.
const OWN_PATHS: &str = "/.telemesh/";

/// Opens a browser's session.
pub(super) const OPEN_PATH: &str = "/.telemesh/open";

/// A request that may be passed on.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) peer: Hashname,
    pub(super) name: Name,
}

/// An answer instead of the peer's.
type Answer = Box<Response<Body>>;

/// How a request has shown that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// A browser sends it by itself, whoever makes the request.
    Cookie,
    /// The token, from somebody who knows it.
    Token,
}

/// Decides on a request. One with `CONNECT` may be answered with a tunnel, whose requests [`check_inside`] decides on.
pub(super) fn check<B>(gateway: &Shared, request: &Request<B>) -> Result<Target, Answer> {
    if request.method() == Method::CONNECT {
        return check_tunnel(gateway, request);
    }
    let (headers, port) = (request.headers(), gateway.port);
    let Some(name) = Name::of(request.uri(), headers, port) else {
        return Err(pages::text(
            StatusCode::MISDIRECTED_REQUEST,
            &format!("This is a telemesh gateway. Names look like <contact>.localhost:{port}."),
        ));
    };
    let origin = name.origin(port);
    if name.kind == Kind::Localhost && request.uri().path() == OPEN_PATH {
        return Err(open(gateway, request, &name, &origin));
    }
    let Some(proof) = proof(&gateway.token, headers, &name, &origin, port) else { return Err(closed(&name)) };
    if !is_from_here(headers, request.method(), &origin, proof) {
        return Err(pages::text(StatusCode::FORBIDDEN, "Pages of other origins may not ask for this."));
    }
    if name.kind == Kind::Localhost && request.uri().path().starts_with(OWN_PATHS) {
        return Err(pages::text(StatusCode::NOT_FOUND, "The gateway has no such page."));
    }
    let peer = resolve(gateway, &name)?;
    // Storage belongs to an endpoint, not to what it is called today: browsers are led to the hashname's own origin.
    if proof == Proof::Cookie && !is_canonical(&name, &peer) {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let location = format!("http://{}{path}", canonical_host(&peer, port));
        return Err(redirect(StatusCode::TEMPORARY_REDIRECT, &location));
    }
    Ok(Target { peer, name })
}

/// Decides on a tunnel. Browsers want one for WebSockets; what goes through it is HTTP for one name.
fn check_tunnel<B>(gateway: &Shared, request: &Request<B>) -> Result<Target, Answer> {
    let name = Name::of(request.uri(), request.headers(), gateway.port);
    let Some(name) = name.filter(|name| name.kind == Kind::Mesh) else {
        return Err(pages::text(
            StatusCode::FORBIDDEN,
            "There are tunnels to <contact>.mesh:80 only. What is there is http://, and the link encrypts it.",
        ));
    };
    let origin = name.origin(gateway.port);
    if proof(&gateway.token, request.headers(), &name, &origin, gateway.port).is_none() {
        return Err(closed(&name));
    }
    let peer = resolve(gateway, &name)?;
    Ok(Target { peer, name })
}

/// Decides on a request in a tunnel to this name, which was opened with the token.
pub(super) fn check_inside<B>(
    gateway: &Shared,
    request: &Request<B>,
    inside: &Name,
) -> Result<Target, Answer> {
    let name = Name::of(request.uri(), request.headers(), gateway.port);
    let Some(name) = name.filter(|name| name == inside && request.method() != Method::CONNECT) else {
        return Err(pages::text(StatusCode::MISDIRECTED_REQUEST, "This tunnel leads to another name."));
    };
    if !is_from_here(request.headers(), request.method(), &name.origin(gateway.port), Proof::Token) {
        return Err(pages::text(StatusCode::FORBIDDEN, "Pages of other origins may not ask for this."));
    }
    // It may have been a contact's name when the tunnel was opened.
    let peer = resolve(gateway, &name)?;
    Ok(Target { peer, name })
}

/// The contact of a name.
fn resolve(gateway: &Shared, name: &Name) -> Result<Hashname, Answer> {
    let contacts = &gateway.contacts;
    let peer = match name.label.parse::<Hashname>() {
        Ok(hashname) => Some(hashname).filter(|hashname| contacts.contains(hashname)),
        Err(_) => contacts.named(&name.label),
    };
    let missing = || pages::text(StatusCode::NOT_FOUND, "There is no contact of this name.");
    peer.ok_or_else(missing)
}

fn is_canonical(name: &Name, peer: &Hashname) -> bool {
    name.label == peer.to_string()
}

fn canonical_host(peer: &Hashname, port: u16) -> String {
    with_port(&format!("{peer}.localhost"), port)
}

/// What shows that whoever asks may.
fn proof(token: &Token, headers: &HeaderMap, name: &Name, origin: &str, port: u16) -> Option<Proof> {
    if headers.get(TOKEN_HEADER).is_some_and(|value| token.is(value.as_bytes())) {
        return Some(Proof::Token);
    }
    match name.kind {
        Kind::Mesh => {
            let password = headers.get(PROXY_AUTHORIZATION).and_then(password)?;
            token.is(&password).then_some(Proof::Token)
        }
        Kind::Localhost => {
            let cookie = cookie_name(port);
            let mut values = cookies(headers).filter(|(name, _)| *name == cookie);
            values.any(|(_, value)| token.is_cookie_of(origin, value.as_bytes())).then_some(Proof::Cookie)
        }
    }
}

/// The password of `Basic` (RFC 7617), or what `Bearer` bears.
fn password(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(credentials.trim().as_bytes()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded.get(colon + 1..).map(ToOwned::to_owned)
}

/// Whether a request comes from a page of its own origin, or from nobody's page: typed, or a script's.
fn is_from_here(headers: &HeaderMap, method: &Method, origin: &str, proof: Proof) -> bool {
    let mut origins = headers.get_all(ORIGIN).into_iter();
    let from = origins.next();
    if origins.next().is_some() || from.is_some_and(|from| from != origin) {
        return false;
    }
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let switches = upgrade_of(headers).is_some();
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !switches;
    match text("sec-fetch-site") {
        Some(b"same-origin" | b"none") => true,
        // A link on another page, which somebody followed.
        Some(_) => {
            let follows =
                text("sec-fetch-mode") == Some(b"navigate") && text("sec-fetch-dest") == Some(b"document");
            follows && is_safe && *method != Method::OPTIONS
        }
        // Browsers send `Origin` with whatever may change something. Who has the token is no page.
        None => is_safe || from.is_some() || proof == Proof::Token,
    }
}

/// Opens a session: the token once in a URL, from then on a cookie of this origin.
fn open<B>(gateway: &Shared, request: &Request<B>, name: &Name, origin: &str) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if request.method() != Method::GET
        || !parameter("token").is_some_and(|token| gateway.token.is(token.as_bytes()))
    {
        return closed(name);
    }
    let peer = match resolve(gateway, name) {
        Ok(peer) => peer,
        Err(answer) => return answer,
    };
    let location = if is_canonical(name, &peer) {
        "/".to_owned()
    } else {
        // The session that matters is that of the hashname's origin; this one is for finding the way there.
        format!("http://{}{OPEN_PATH}?{query}", canonical_host(&peer, gateway.port))
    };
    let cookie = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={SESSION_SECONDS}",
        cookie_name(gateway.port),
        gateway.token.cookie_of(origin)
    );
    let mut response = redirect(StatusCode::SEE_OTHER, &location);
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn redirect(status: StatusCode, location: &str) -> Answer {
    let mut response = pages::text(status, "This way.");
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// For whoever has no session, or no token.
fn closed(name: &Name) -> Answer {
    match name.kind {
        Kind::Localhost => pages::text(
            StatusCode::UNAUTHORIZED,
            "This browser has no session with the gateway. Open the URL that `telemesh gateway` prints.",
        ),
        Kind::Mesh => {
            let mut response = pages::text(
                StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                "The password of this proxy is the token that `telemesh gateway` prints.",
            );
            let basic = HeaderValue::from_static("Basic realm=\"telemesh gateway\"");
            response.headers_mut().insert(PROXY_AUTHENTICATE, basic);
            response
        }
    }
}

/// Cookies are not kept apart by port: two gateways on one machine must not take each other's place.
fn cookie_name(port: u16) -> String {
    format!("{COOKIE_PREFIX}{port}")
}

/// The cookies of a request.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// Takes out of a request what is for the gateway only.
pub(super) fn strip_secrets(headers: &mut HeaderMap) {
    headers.remove(TOKEN_HEADER);
    headers.remove(PROXY_AUTHORIZATION);
    let is_ours = |pair: &str| pair.trim_start().starts_with(COOKIE_PREFIX);
    let lines: Vec<_> = headers.get_all(COOKIE).into_iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        // A line that cannot be read cannot be looked through either.
        let Ok(text) = line.to_str() else { continue };
        let kept: Vec<_> = text.split(';').filter(|pair| !is_ours(pair)).map(str::trim).collect();
        if let Ok(kept) = HeaderValue::try_from(kept.join("; "))
            && !kept.is_empty()
        {
            headers.append(COOKIE, kept);
        }
    }
}

/// Takes out of a response what would reach beyond the endpoint's own origin: cookies for others, and for the gateway.
pub(super) fn confine(headers: &mut HeaderMap) {
    headers.remove("alt-svc");
    let cookies: Vec<_> = headers.get_all(SET_COOKIE).into_iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in cookies {
        let text = cookie.as_bytes().to_ascii_lowercase();
        let mut parts = text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_ours = parts.next().is_some_and(|first| first.starts_with(COOKIE_PREFIX.as_bytes()));
        if !is_ours && !parts.any(|part| part.starts_with(b"domain")) {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

/// In front of the port in the session cookie's name.
const COOKIE_PREFIX: &str = "telemesh-session-";

/// How long a browser keeps its session: a month.
const SESSION_SECONDS: u32 = 30 * 24 * 60 * 60;
