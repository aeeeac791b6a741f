//! Who gets in: the decision about everybody who asks for a link.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_wire::{Credential, PathAddress};

/// What somebody shows who asks for a link. It is authentic as far as a first packet can be: the sender once had these keys, but
/// the packet may be a replay. So a decision must have no side effects.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Claim<'a> {
    /// Who asks.
    pub hashname: Hashname,
    /// The key of the handshake, and the digests of the others.
    pub keys: &'a PublicKeys,
    /// Why they should be let in: a proof of an invite, a ticket, a token of the application's. Usually nothing.
    pub credential: &'a Credential,
    /// The way it came. Nothing proves that it is the sender's.
    pub via: PathAddress,
    /// Who that is to this endpoint.
    pub standing: Standing,
    /// The endpoint is in discover mode, see [`Mesh::discover`](crate::Mesh::discover).
    pub discovering: bool,
}

/// Who somebody is to this endpoint before the policy has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// A contact with the grant `link`.
    Contact,
    /// A contact without it: known, and not to be let in.
    Barred,
    /// Bears an invite that is open.
    Invited,
    /// Has issued an invite that we bear, and whose URI leads through a router. It becomes a contact.
    Issuer,
    /// As a router: shows a ticket that leads to one of our peers. It becomes a guest, and is led to that peer only.
    Ticketed,
    /// Nobody we know.
    Stranger,
}

/// What becomes of somebody who asks for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// They get an answer. A stranger becomes a guest: its link lasts as long as it is up, and it is no contact.
    Accept,
    /// No answer; the application hears of them and may link, see [`Mesh::discovered`](crate::Mesh::discovered).
    Ask,
    /// No answer, and nobody hears of it.
    Ignore,
}

/// Decides who gets in. Called for every valid initiation, in the task that receives packets: it must be quick and never wait.
///
/// A closure is a policy too. If it panics the answer is [`Verdict::Ignore`].
///
/// ```
/// use telemesh_mesh::{Claim, Standing, Verdict};
///
/// // Contacts and invited ones get in, strangers with the right token too.
/// let policy = |claim: &Claim<'_>| match claim.standing {
///     Standing::Contact | Standing::Invited => Verdict::Accept,
///     Standing::Stranger if claim.credential.as_bytes() == b"token" => Verdict::Accept,
///     _ => Verdict::Ignore,
/// };
/// # fn check(_: impl telemesh_mesh::Policy) {}
/// # check(policy);
/// ```
pub trait Policy: Send + Sync + 'static {
    /// The verdict.
    fn decide(&self, claim: &Claim<'_>) -> Verdict;
}

impl<F: Fn(&Claim<'_>) -> Verdict + Send + Sync + 'static> Policy for F {
    fn decide(&self, claim: &Claim<'_>) -> Verdict {
        self(claim)
    }
}

/// The default: contacts and bearers of invites get in. Strangers meet silence, except in discover mode, where the application is
/// asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContactsOnly;

impl Policy for ContactsOnly {
    fn decide(&self, claim: &Claim<'_>) -> Verdict {
        match claim.standing {
            Standing::Contact | Standing::Invited | Standing::Issuer | Standing::Ticketed => Verdict::Accept,
            Standing::Stranger if claim.discovering => Verdict::Ask,
            Standing::Stranger | Standing::Barred => Verdict::Ignore,
        }
    }
}

/// The application is asked about every stranger.
#[derive(Debug, Clone, Copy, Default)]
pub struct AskAboutStrangers;

impl Policy for AskAboutStrangers {
    fn decide(&self, claim: &Claim<'_>) -> Verdict {
        ContactsOnly.decide(&Claim { discovering: true, ..*claim })
    }
}

/// The verdict of a policy, which may panic.
pub(crate) fn decide(policy: &dyn Policy, claim: &Claim<'_>) -> Verdict {
    // The policy is the application's: what state it is in after a panic is its own affair.
    catch_unwind(AssertUnwindSafe(|| policy.decide(claim))).unwrap_or_else(|_| {
        tracing::error!(peer = %claim.hashname.short(), "the policy has panicked: nobody is let in");
        Verdict::Ignore
    })
}

impl fmt::Debug for dyn Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}
