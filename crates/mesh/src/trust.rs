//! Whom the endpoint lets in: its contacts, and the bearers of its invites.
//!
//! A contact is a hashname with a link; this file has the invites that make strangers contacts.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use telemesh_hashname::Hashname;
use telemesh_wire::{Credential, InviteSecret};

/// Invites that may be open at once: each costs a hash for every stranger who presents a credential.
pub const MAX_INVITES: usize = 256;

/// How long an invite waits for the first data of a bearer who has presented it.
pub(crate) const RESERVATION: Duration = Duration::from_secs(30);

/// What an invite is good for. Its secret makes its bearer a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invite {
    uses: u32,
    valid_for: Duration,
}

impl Invite {
    /// For a single bearer, within ten minutes.
    #[must_use]
    pub fn once() -> Self {
        Self { uses: 1, valid_for: Duration::from_secs(600) }
    }

    /// For this many bearers.
    #[must_use]
    pub fn uses(mut self, uses: u32) -> Self {
        self.uses = uses;
        self
    }

    /// Valid for this long from now.
    #[must_use]
    pub fn valid_for(mut self, time: Duration) -> Self {
        self.valid_for = time;
        self
    }
}

/// There are [`MAX_INVITES`] open invites already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {MAX_INVITES} open invites already")]
pub struct TooManyInvites;

/// The open invites of an endpoint.
#[derive(Default)]
pub(crate) struct Trust {
    invites: Mutex<Vec<OpenInvite>>,
}

struct OpenInvite {
    secret: InviteSecret,
    uses: u32,
    expires: Option<Instant>,
    /// Bearers who have presented it and sent no data yet, each with the end of the reservation.
    reserved: Vec<(Hashname, Instant)>,
    /// Bearers who have used it. One who was forgotten since does not come back with it.
    used: Vec<Hashname>,
}

impl Trust {
    /// Opens an invite with this secret.
    pub(crate) fn issue(
        &self,
        invite: Invite,
        secret: [u8; InviteSecret::LENGTH],
        now: Instant,
    ) -> Result<(), TooManyInvites> {
        let mut invites = self.invites.lock();
        invites.retain(|invite| invite.is_open(now));
        if invites.len() >= MAX_INVITES {
            return Err(TooManyInvites);
        }
        invites.push(OpenInvite {
            secret: InviteSecret::from_bytes(secret),
            uses: invite.uses,
            // Beyond what the clock can say it never expires.
            expires: now.checked_add(invite.valid_for),
            reserved: Vec::new(),
            used: Vec::new(),
        });
        Ok(())
    }

    /// Whether the credential proves an invite that has a use left, which is then reserved for the bearer.
    pub(crate) fn present(
        &self,
        issuer: &Hashname,
        bearer: &Hashname,
        credential: &Credential,
        now: Instant,
    ) -> bool {
        let mut invites = self.invites.lock();
        invites.retain(|invite| invite.is_open(now));
        let mut accepted = false;
        // All are tried, so that the time it takes does not tell which one it was.
        for invite in invites.iter_mut() {
            let proven =
                telemesh_link::check_invite(invite.secret.as_bytes(), issuer, bearer, credential.as_bytes());
            accepted |= proven && invite.reserve(bearer, now);
        }
        accepted
    }

    /// The bearer has sent data: its reservation becomes a use. Whether it had one.
    pub(crate) fn confirm(&self, bearer: &Hashname) -> bool {
        let mut invites = self.invites.lock();
        let mut confirmed = false;
        for invite in invites.iter_mut() {
            let before = invite.reserved.len();
            invite.reserved.retain(|(reserved, _)| reserved != bearer);
            if invite.reserved.len() < before {
                invite.uses = invite.uses.saturating_sub(1);
                invite.used.push(*bearer);
                confirmed = true;
            }
        }
        invites.retain(|invite| invite.uses > 0);
        confirmed
    }

    /// The bearer has sent no data in time, or is a contact without it: somebody else may use the invite.
    pub(crate) fn release(&self, bearer: &Hashname) {
        for invite in self.invites.lock().iter_mut() {
            invite.reserved.retain(|(reserved, _)| reserved != bearer);
        }
    }
}

impl OpenInvite {
    fn is_open(&self, now: Instant) -> bool {
        self.uses > 0 && self.expires.is_none_or(|at| now < at)
    }

    fn reserve(&mut self, bearer: &Hashname, now: Instant) -> bool {
        self.reserved.retain(|(reserved, until)| reserved != bearer && now < *until);
        if self.used.contains(bearer) {
            return false;
        }
        if usize::try_from(self.uses).is_ok_and(|uses| self.reserved.len() >= uses) {
            return false;
        }
        self.reserved.push((*bearer, now + RESERVATION));
        true
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("invites", &self.invites.lock().len()).finish()
    }
}
