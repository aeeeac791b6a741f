//! Invites: secrets that make their bearers contacts.
//!
//! Each use is bound to one hashname: reserved when that one presents the invite, spent when it has sent its first data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use telemesh_hashname::Hashname;
use telemesh_wire::{Credential, InviteSecret};

use crate::clock::Now;
use crate::contact::ContactName;
use crate::grant::{Grant, Grants};
use crate::store::StoredInvite;

/// Invites that may be open at once: each costs a hash for every stranger who presents a credential.
pub const MAX_INVITES: usize = 256;

/// How long an invite waits for the first data of a bearer who has presented it.
pub(crate) const RESERVATION: Duration = Duration::from_secs(30);

/// What an invite is good for. Its secret makes its bearer a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    uses: u32,
    valid_for: Duration,
    name: Option<ContactName>,
    grants: Grants,
}

impl Invite {
    /// For a single bearer, within ten minutes.
    #[must_use]
    pub fn once() -> Self {
        Self { uses: 1, valid_for: Duration::from_secs(600), name: None, grants: Grants::link() }
    }

    /// For this many bearers.
    #[must_use]
    pub fn uses(mut self, uses: u32) -> Self {
        self.uses = uses;
        self
    }

    /// Valid for this long from now. Longer than the clock can say is for ever.
    #[must_use]
    pub fn valid_for(mut self, time: Duration) -> Self {
        self.valid_for = time;
        self
    }

    /// What the contact will be called. A second one gets a number behind the name.
    #[must_use]
    pub fn name(mut self, name: ContactName) -> Self {
        self.name = Some(name);
        self
    }

    /// Allows the contact something beyond linking. More grants than a contact can have are left out.
    #[must_use]
    pub fn grant(mut self, grant: Grant) -> Self {
        // The limit is far above what one writes by hand.
        let _ = self.grants.insert(grant);
        self
    }
}

/// There are [`MAX_INVITES`] open invites already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {MAX_INVITES} open invites already")]
pub struct TooManyInvites;

/// An open invite, as its issuer sees it. The secret is not shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenInvite {
    /// Names it, see [`Mesh::revoke_invite`](crate::Mesh::revoke_invite).
    pub id: String,
    /// What the contact will be called.
    pub name: Option<ContactName>,
    /// What the contact will be allowed.
    pub grants: Grants,
    /// Contacts that it can still make.
    pub uses: u32,
    /// When it expires; `None` for never.
    pub expires_in: Option<Duration>,
}

/// All open invites of an endpoint.
#[derive(Default)]
pub(crate) struct Invites(Vec<Issued>);

struct Issued {
    stored: StoredInvite,
    expires: Option<Instant>,
    /// Bearers who have presented it and sent no data yet, each with the end of the reservation.
    reserved: Vec<(Hashname, Instant)>,
}

impl Invites {
    /// Invites that were open when the endpoint ran last.
    pub(crate) fn restore(stored: Vec<StoredInvite>, now: Now) -> Self {
        let restore = |stored: StoredInvite| {
            // One that the wall clock says has expired does so now, and one whose time the clock cannot say never.
            let expires = now.end(None, stored.expires);
            Issued { stored, expires, reserved: Vec::new() }
        };
        Self(stored.into_iter().map(restore).collect())
    }

    /// Those that end earlier by the wall clock do.
    pub(crate) fn heed_wall_clock(&mut self, now: Now) {
        for invite in &mut self.0 {
            invite.expires = now.end(invite.expires, invite.stored.expires);
        }
    }

    /// Opens an invite with this secret.
    pub(crate) fn issue(
        &mut self,
        invite: Invite,
        id: String,
        secret: [u8; InviteSecret::LENGTH],
        now: Now,
    ) -> Result<StoredInvite, TooManyInvites> {
        if self.0.len() >= MAX_INVITES {
            return Err(TooManyInvites);
        }
        let stored = StoredInvite {
            id,
            secret: Arc::new(InviteSecret::from_bytes(secret)),
            uses: invite.uses,
            // Beyond what a clock can say it never expires.
            expires: now.wall_in(invite.valid_for),
            name: invite.name,
            grants: invite.grants,
            used: Vec::new(),
        };
        let expires = now.monotonic.checked_add(invite.valid_for);
        self.0.push(Issued { stored: stored.clone(), expires, reserved: Vec::new() });
        Ok(stored)
    }

    /// Takes out those that are used up or expired; gives their ids.
    pub(crate) fn take_closed(&mut self, now: Instant) -> Vec<String> {
        self.take(|invite| !invite.is_open(now))
    }

    /// Takes out the one with this id.
    pub(crate) fn revoke(&mut self, id: &str) -> Option<String> {
        self.take(|invite| invite.stored.id == id).pop()
    }

    fn take(&mut self, which: impl Fn(&Issued) -> bool) -> Vec<String> {
        self.0.extract_if(.., |invite| which(invite)).map(|invite| invite.stored.id).collect()
    }

    pub(crate) fn open(&self, now: Instant) -> Vec<OpenInvite> {
        let open = self.0.iter().filter(|invite| invite.is_open(now));
        open.map(|invite| OpenInvite {
            id: invite.stored.id.clone(),
            name: invite.stored.name.clone(),
            grants: invite.stored.grants.clone(),
            uses: invite.stored.uses,
            expires_in: invite.expires.map(|at| at.saturating_duration_since(now)),
        })
        .collect()
    }

    /// Whether the credential proves an invite that has a use left for the bearer. Changes nothing.
    pub(crate) fn admits(
        &self,
        issuer: &Hashname,
        bearer: &Hashname,
        credential: &Credential,
        now: Instant,
    ) -> bool {
        let admits = |invite: &Issued| invite.has_use_for(bearer, now);
        // All are tried, so that the time it takes does not tell which one it was.
        self.0.iter().fold(false, |found, invite| {
            (invite.is_proven(issuer, bearer, credential) & admits(invite)) | found
        })
    }

    /// Reserves a use of the invite that the credential proves. Whether there was one.
    pub(crate) fn reserve(
        &mut self,
        issuer: &Hashname,
        bearer: &Hashname,
        credential: &Credential,
        now: Instant,
    ) -> bool {
        let mut reserved = false;
        for invite in &mut self.0 {
            if invite.is_proven(issuer, bearer, credential) && invite.has_use_for(bearer, now) {
                invite.reserved.retain(|(other, until)| other != bearer && now < *until);
                invite.reserved.push((*bearer, now + RESERVATION));
                reserved = true;
            }
        }
        reserved
    }

    /// The bearer has sent data: what it had reserved becomes a use. Gives the invite as it is now, if it had one.
    pub(crate) fn confirm(&mut self, bearer: &Hashname) -> Option<StoredInvite> {
        let mut confirmed = None;
        for invite in &mut self.0 {
            let before = invite.reserved.len();
            invite.reserved.retain(|(reserved, _)| reserved != bearer);
            if invite.reserved.len() < before {
                invite.stored.uses = invite.stored.uses.saturating_sub(1);
                invite.stored.used.push(*bearer);
                confirmed = Some(invite.stored.clone());
            }
        }
        confirmed
    }

    /// The bearer has sent no data in time, or is a contact without it: somebody else may use the invite.
    pub(crate) fn release(&mut self, bearer: &Hashname) {
        for invite in &mut self.0 {
            invite.reserved.retain(|(reserved, _)| reserved != bearer);
        }
    }

    /// The secrets of those that are open.
    pub(crate) fn secrets(&self, now: Instant) -> Vec<Arc<InviteSecret>> {
        self.0
            .iter()
            .filter(|invite| invite.is_open(now))
            .map(|invite| invite.stored.secret.clone())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Issued {
    fn is_open(&self, now: Instant) -> bool {
        self.stored.uses > 0 && self.expires.is_none_or(|at| now < at)
    }

    fn is_proven(&self, issuer: &Hashname, bearer: &Hashname, credential: &Credential) -> bool {
        telemesh_link::check_invite(self.stored.secret.as_bytes(), issuer, bearer, credential.as_bytes())
    }

    fn has_use_for(&self, bearer: &Hashname, now: Instant) -> bool {
        let others = self.reserved.iter().filter(|(other, until)| other != bearer && now < *until).count();
        self.is_open(now)
            && !self.stored.used.contains(bearer)
            && usize::try_from(self.stored.uses).is_ok_and(|uses| others < uses)
    }
}
