//! `TO`: the other end, as somebody typed it, wrote it in a file or pipes it in.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use serde::de::IgnoredAny;
use telemesh::{Hashname, LinkInfo, LinkTarget};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::secret::Secret;

/// More than any URI or link JSON has.
const MAX_LENGTH: usize = 64 * 1024;

/// Reads `TO` as it was typed: `@file` and `-` (standard input) stand for what is in them, everything else for itself.
///
/// # Errors
/// [`Failure::Usage`]: it cannot be read.
pub(crate) fn read(to: &str) -> Result<Secret, Failure> {
    let text = if to == "-" {
        // Only as much as belongs to it: what follows is data for `pipe`.
        first_of(&mut io::stdin().lock()).map_err(|error| unreadable("standard input", &error))?
    } else if let Some(path) = to.strip_prefix('@') {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        first_of(&mut BufReader::new(file)).map_err(|error| unreadable(path, &error))?
    } else {
        Zeroizing::new(to.to_owned())
    };
    Ok(Secret::from(Zeroizing::new(text.trim().to_owned())))
}

/// A URI, link JSON or a hashname.
///
/// # Errors
/// [`Failure::Usage`], which does not repeat the text: it may hold a secret.
pub(crate) fn parse(text: &str) -> Result<LinkTarget, Failure> {
    text.parse().map_err(|error| {
        let hint = if text.starts_with("link:") {
            "; put it in quotes, a shell takes & and # for its own"
        } else {
            ""
        };
        Failure::Usage(format!("TO: {error}{hint}"))
    })
}

/// Whom it names.
pub(crate) fn hashname(target: &LinkTarget) -> Option<Hashname> {
    match target {
        LinkTarget::Hashname(hashname) => Some(*hashname),
        LinkTarget::Info(info) => Some(info.hashname()),
        LinkTarget::Uri(uri) => Some(uri.link().hashname()),
        _ => None,
    }
}

/// All that it says about how to reach somebody, also the address in front of a URI.
pub(crate) fn info(target: &LinkTarget) -> Option<LinkInfo> {
    match target {
        LinkTarget::Hashname(hashname) => Some(LinkInfo::unresolved(*hashname)),
        LinkTarget::Info(info) => Some((**info).clone()),
        LinkTarget::Uri(uri) => {
            let info = uri.link().clone();
            let known = |address| info.addresses().any(|known| known == address);
            let missing: Vec<_> = uri.addresses().filter(|address| !known(*address)).collect();
            // More addresses than an information has room for are left out.
            let with = |info: LinkInfo, address| info.clone().with_path(address).unwrap_or(info);
            Some(missing.into_iter().fold(info.clone(), with))
        }
        _ => None,
    }
}

/// Whether its bearer is let in by the secret, so that it does not matter who we are.
pub(crate) fn has_invite(target: &LinkTarget) -> bool {
    matches!(target, LinkTarget::Uri(uri) if uri.invite().is_some())
}

/// Whether it is a router's URI, which leads to somebody whom it does not name.
pub(crate) fn is_by_router(target: &LinkTarget) -> bool {
    matches!(target, LinkTarget::Uri(uri) if uri.session_id().is_some())
}

fn unreadable(source: &str, error: &io::Error) -> Failure {
    Failure::Usage(format!("TO: could not read {source}: {error}"))
}

/// The first line that is not empty, or as many lines as its JSON has.
fn first_of(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    loop {
        let start = text.len();
        let read = read_line(input, &mut text)?;
        let line = text.get(start..).unwrap_or_default().trim();
        let goes_on = if text.starts_with('{') {
            // Only a brace can be its end, so that not every line is a reason to read all of it again.
            !line.ends_with('}') || is_unfinished(&text)
        } else {
            line.is_empty()
        };
        if read == 0 || !goes_on {
            return Ok(text);
        }
        if line.is_empty() {
            text.truncate(start);
        }
    }
}

fn read_line(input: &mut impl BufRead, text: &mut String) -> io::Result<usize> {
    let room = MAX_LENGTH.saturating_sub(text.len());
    if room == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long to be a link"));
    }
    io::Read::take(input, u64::try_from(room).unwrap_or(u64::MAX)).read_line(text)
}

fn is_unfinished(json: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(json).is_err_and(|error| error.is_eof())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::failure::Kind;

    #[test]
    fn only_the_first_line_is_taken() {
        let mut input = &b"\n  link://one/ \ndata follows"[..];
        assert_eq!(first_of(&mut input).unwrap().trim(), "link://one/");
        assert_eq!(input, b"data follows");
    }

    #[test]
    fn json_may_have_many_lines() {
        let mut input = &b"{\n \"a\": [1,\n2]\n}\nrest"[..];
        assert_eq!(first_of(&mut input).unwrap().trim(), "{\n \"a\": [1,\n2]\n}");
        assert_eq!(input, b"rest");
        let mut input = &b"\n\n{\"a\": {}\n, \"b\": {}\n}\n"[..];
        assert_eq!(first_of(&mut input).unwrap().trim(), "{\"a\": {}\n, \"b\": {}\n}");
    }

    #[test]
    fn endless_input_is_not_stored() {
        let mut line = BufReader::new(io::Read::take(io::repeat(b'x'), 1 << 20));
        assert_eq!(first_of(&mut line).unwrap().len(), MAX_LENGTH);
        let endless = io::Read::take(&b"{\n"[..], 2).chain(io::Read::take(io::repeat(b'['), 1 << 20));
        assert!(first_of(&mut BufReader::new(endless)).is_err());
    }

    #[test]
    fn nonsense_is_a_usage_error_that_does_not_repeat_it() {
        let unreadable = read("@/no/such/file").unwrap_err();
        let nonsense = ["nonsense", "link://[", "{}"].map(|text| parse(text).unwrap_err());
        for error in nonsense.into_iter().chain([unreadable]) {
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().starts_with("TO: "), "{error}");
        }
    }
}
