//! What the texts of single settings may be.

use std::time::Duration;

use telemesh::{Discover, Grant, Hashname, LinkTarget};

/// What this version has services for. Applications may have more.
const KINDS: [&str; 5] = ["link", "serve", "sock", "router", "box"];

/// How alike a kind and a known one are, from 0 to 1, for the kind to be a mistyped one.
const ALIKE: f64 = 0.6;

/// Seconds in each unit that a time may have.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

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

/// How long others may find us: a time, or `forever`.
///
/// # Errors
/// What it looks like.
pub(crate) fn discover(text: &str) -> Result<Discover, String> {
    if text == "forever" {
        return Ok(Discover::Forever);
    }
    match duration(text) {
        Ok(time) if time.is_zero() => Err("more than nothing".to_owned()),
        Ok(time) => Ok(Discover::For(time)),
        Err(error) => Err(format!("{error}, or `forever`")),
    }
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
pub(super) fn grant(text: &str) -> Result<Grant, String> {
    let grant = crate::grants::parse(text)?;
    if telemesh::sock::is_sock_grant(text) {
        return Ok(grant);
    }
    // An unknown kind may be an application's, but one that is nearly a known one would grant nothing to anybody.
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(grant.kind(), known);
    let nearest = KINDS.iter().copied().max_by(|one, other| alike(one).total_cmp(&alike(other)));
    if let Some(nearest) = nearest.filter(|known| *known != grant.kind() && alike(known) >= ALIKE) {
        return Err(format!("there is no such grant, did you mean `{nearest}`?"));
    }
    Ok(grant)
}
