//! Which endpoints keep messages for whom, as each of those for whom they are kept has said itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::limits::{MAX_TELLERS, MAX_TOLD};
use crate::store::keys::{HAS_TOLD, TOLD};
use crate::store::{Change, Store, StoreError};
use crate::wire::bytes::{Reader, Truncated};

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Told {
    by: BTreeMap<Hashname, Vec<Hashname>>,
    /// We have told others ours at some time, and so tell them too when there are none any more.
    has_told: bool,
}

impl Told {
    /// Reads what a store holds.
    pub(crate) fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let mut told = Self::default();
        store.scan(&[TOLD], &mut |key, row| {
            let (teller, caches) = read(key, row).map_err(|Truncated| damaged())?;
            told.by.insert(teller, caches);
            Ok(())
        })?;
        store.scan(&[HAS_TOLD], &mut |_, _| {
            told.has_told = true;
            Ok(())
        })?;
        Ok(told)
    }

    /// The caches that an endpoint has told.
    pub(crate) fn of(&self, teller: &Hashname) -> Vec<Hashname> {
        self.by.get(teller).cloned().unwrap_or_default()
    }

    /// Whether this endpoint is one of anybody's.
    pub(crate) fn contains(&self, cache: &Hashname) -> bool {
        self.by.values().any(|caches| caches.contains(cache))
    }

    /// What an endpoint tells now takes the place of what it has told: the rows to change, if that is news. When there are too
    /// many, somebody else goes for whom this holds.
    pub(crate) fn hear(
        &mut self,
        teller: Hashname,
        caches: Vec<Hashname>,
        may_go: impl Fn(&Hashname) -> bool,
    ) -> Vec<Change> {
        if self.of(&teller) == caches {
            return Vec::new();
        }
        if caches.is_empty() {
            self.by.remove(&teller);
            return vec![Change::Remove(key(&teller))];
        }
        let mut changes = Vec::new();
        if self.by.len() >= MAX_TELLERS && !self.by.contains_key(&teller) {
            let Some(gone) = self.by.keys().copied().find(may_go) else { return changes };
            self.by.remove(&gone);
            changes.push(Change::Remove(key(&gone)));
        }
        let row: Vec<u8> = caches.iter().flat_map(|cache| *cache.as_bytes()).collect();
        changes.push(Change::Put(key(&teller), row.into()));
        self.by.insert(teller, caches);
        changes
    }

    pub(crate) fn has_told(&self) -> bool {
        self.has_told
    }

    /// We tell ours: the row that keeps that in mind, if it is the first time.
    pub(crate) fn tell(&mut self) -> Option<Change> {
        let is_first = !std::mem::replace(&mut self.has_told, true);
        is_first.then(|| Change::Put(vec![HAS_TOLD], Bytes::new()))
    }
}

fn key(teller: &Hashname) -> Vec<u8> {
    [&[TOLD], &teller.as_bytes()[..]].concat()
}

fn read(key: &[u8], row: &[u8]) -> Result<(Hashname, Vec<Hashname>), Truncated> {
    let mut reader = Reader::new(key);
    reader.u8()?;
    let teller = reader.hashname()?;
    reader.end()?;
    let count = row.len() / 32;
    if count == 0 || count > MAX_TOLD {
        return Err(Truncated);
    }
    let mut reader = Reader::new(row);
    let caches = (0..count).map(|_| reader.hashname()).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok((teller, caches))
}

fn damaged() -> StoreError {
    StoreError::Damaged("who keeps messages for whom is not what was written".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn name(number: usize) -> Hashname {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        Hashname::from_bytes(bytes)
    }

    #[test]
    fn what_was_told_last_counts_and_outlives_a_restart() {
        let store = MemoryStore::new();
        let mut told = Told::default();
        let anybody = |_: &Hashname| true;
        store.commit(&told.hear(name(1), vec![name(7)], anybody)).unwrap();
        store.commit(&told.hear(name(1), vec![name(8), name(9)], anybody)).unwrap();
        store.commit(&told.hear(name(2), vec![name(7)], anybody)).unwrap();
        store.commit(&told.hear(name(2), Vec::new(), anybody)).unwrap();
        assert!(told.hear(name(1), vec![name(8), name(9)], anybody).is_empty(), "nothing new");
        store.commit(&[told.tell().unwrap()]).unwrap();
        assert!(told.tell().is_none());
        let again = Told::load(&store).unwrap();
        assert_eq!((again.of(&name(1)), again.of(&name(2))), (vec![name(8), name(9)], Vec::new()));
        assert!(again.contains(&name(9)) && !again.contains(&name(7)) && again.has_told());
    }

    #[test]
    fn so_many_tell_theirs_and_one_more_takes_the_place_of_somebody_who_may_go() {
        let mut told = Told::default();
        for teller in 0..MAX_TELLERS {
            assert_eq!(told.hear(name(teller), vec![name(7)], |_| false).len(), 1);
        }
        let one_more = name(MAX_TELLERS);
        assert!(told.hear(one_more, vec![name(7)], |_| false).is_empty(), "all of them are needed");
        assert_eq!(told.hear(one_more, vec![name(7)], |other| *other == name(3)).len(), 2);
        assert!(told.of(&name(3)).is_empty() && told.by.len() == MAX_TELLERS);
    }
}
