//! What the texts of single settings may be.

use std::net::SocketAddr;
use std::time::Duration;

use telemesh::{Hashname, LinkTarget};

/// Characters of a contact's name.
const MAX_NAME: usize = 64;

/// Seconds in each unit that a time may have.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// A contact's name: what people type in place of a hashname.
///
/// # Errors
/// Why it is none, in words that follow "found …".
pub(crate) fn contact_name(name: &str) -> Result<(), String> {
    let allowed = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err(format!("a name has 1 to {MAX_NAME} characters"));
    }
    if !name.chars().all(allowed) || !name.starts_with(char::is_alphanumeric) {
        return Err(
            "a name begins with a letter or digit and has only letters, digits, `-`, `_` and `.`".into()
        );
    }
    if name.parse::<Hashname>().is_ok() {
        return Err("a name must not be a hashname".into());
    }
    Ok(())
}

/// A time with its unit, like `90s`, `10m`, `2h` or `1d`.
///
/// # Errors
/// What a time looks like.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "a number with its unit is needed, like 90s, 10m, 2h or 1d".to_owned();
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wanted)?;
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wanted)?;
    let number: u64 = number.parse().map_err(|_| wanted())?;
    number.checked_mul(*factor).map(Duration::from_secs).ok_or_else(|| "more than there is time".to_owned())
}

/// A local address.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an IP address and a port are needed, like 0.0.0.0:42424 or [::]:42424".to_owned())
}

/// How to reach a contact. What is wrong is said without the text, in which there may be a secret.
pub(super) fn link(text: &str) -> Result<(LinkTarget, Hashname), String> {
    let link: LinkTarget = text.parse().map_err(|error| format!("{error}"))?;
    let hashname = match &link {
        LinkTarget::Hashname(hashname) => *hashname,
        LinkTarget::Info(info) => info.hashname(),
        LinkTarget::Uri(uri) if uri.invite().is_some() => {
            return Err("an invite is a secret and works once: use it with `telemesh accept`, \
                        and write the link without it here"
                .into());
        }
        LinkTarget::Uri(uri) => uri.link().hashname(),
        _ => return Err("a link uri, link json or a hashname is needed".into()),
    };
    Ok((link, hashname))
}

/// What a contact may do.
pub(super) fn grant(text: &str) -> Result<String, String> {
    let (word, target) = text.split_once(':').map_or((text, None), |(word, target)| (word, Some(target)));
    match (word, target) {
        ("link" | "serve" | "router" | "box", None) => Ok(text.to_owned()),
        ("sock", Some(target)) if !target.is_empty() => Ok(text.to_owned()),
        _ => Err("a grant is link, serve, router, box or sock:HOST:PORT".into()),
    }
}
