//! A shelf's rows in a store.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Entry, Shelf, ShelfLimits, State};
use crate::id::{Keying, MessageId, Tag};
use crate::limits::PART;
use crate::store::disk::parts_of;
use crate::store::keys::{HEADER, INBOX, Place, number_of, numbered, part};
use crate::store::{Change, Store, StoreError};
use crate::wire::bytes::{Reader, Truncated, put_u32, put_u64};

/// The row of an entry: nonce (8), masked id (16), recipient's tag (16), giver's tag (16), size (4), stored at (8), whether
/// it is whole (1). `nonce` is new for each row.
pub(crate) fn entry_row(
    place: Place,
    keying: &Keying,
    number: u64,
    entry: &Entry,
    whole: bool,
    nonce: u64,
) -> Change {
    let mut row = Vec::with_capacity(ROW);
    put_u64(&mut row, nonce);
    row.extend_from_slice(&keying.mask(nonce, *entry.id.as_bytes()));
    row.extend_from_slice(&entry.recipient.0);
    row.extend_from_slice(&entry.giver.0);
    put_u32(&mut row, entry.size);
    put_u64(&mut row, entry.stored_at);
    row.push(u8::from(whole));
    Change::Put(numbered(place.entry, number), row.into())
}

/// Removes a message with all that belongs to it.
pub(crate) fn removals(place: Place, doomed: &[(u64, u32)]) -> Vec<Change> {
    let mut changes = Vec::with_capacity(doomed.len() * 2);
    for &(number, parts) in doomed {
        changes.push(Change::Remove(numbered(place.entry, number)));
        if place == INBOX {
            changes.push(Change::Remove(numbered(HEADER, number)));
        }
        changes.extend((0..parts).map(|index| Change::Remove(part(place, number, index))));
    }
    changes
}

/// Reads a shelf's index, and checks that its names were written with this keying.
pub(crate) fn load(
    store: &dyn Store,
    place: Place,
    keying: &Keying,
    limits: ShelfLimits,
) -> Result<Shelf, StoreError> {
    let check = Bytes::copy_from_slice(&keying.check());
    match store.read(&[place.check])? {
        None => store.commit(&[Change::Put(vec![place.check], check)])?,
        Some(found) if found == check => {}
        Some(_) => return Err(StoreError::OtherSecret),
    }
    let mut shelf = Shelf::new(limits);
    let mut partial = BTreeMap::new();
    store.scan(&[place.entry], &mut |key, row| {
        let number = number_of(key).filter(|number| *number < u64::MAX).ok_or_else(damaged)?;
        let (entry, whole) = read_row(keying, row).map_err(|Truncated| damaged())?;
        if !whole {
            partial.insert(number, entry.size);
        }
        shelf.insert_at(number, entry);
        Ok(())
    })?;
    for (number, size) in partial {
        let held = held(store, place, number, size)?;
        match shelf.entries.get_mut(&number) {
            Some(entry) if held > 0 => entry.state = State::Partial(held),
            _ => shelf.remove(number),
        }
    }
    Ok(shelf)
}

/// How many bytes of the parts of a message are there, from its beginning.
fn held(store: &dyn Store, place: Place, number: u64, size: u32) -> Result<u32, StoreError> {
    let full = u32::try_from(PART).unwrap_or(u32::MAX);
    for index in 0..parts_of(size) {
        let expected = (size - index * full).min(full);
        let found = store.read(&part(place, number, index))?;
        if found.and_then(|part| u32::try_from(part.len()).ok()) != Some(expected) {
            return Ok(index * full);
        }
    }
    // The last part is there, but not the word that all is: it is brought again, and then looked at as a whole.
    Ok((parts_of(size) - 1) * full)
}

fn read_row(keying: &Keying, row: &[u8]) -> Result<(Entry, bool), Truncated> {
    let mut reader = Reader::new(row);
    let nonce = reader.u64()?;
    let id = MessageId::from_bytes(keying.mask(nonce, reader.sixteen()?));
    let (recipient, giver) = (Tag(reader.sixteen()?), Tag(reader.sixteen()?));
    let (size, stored_at) = (reader.u32()?, reader.u64()?);
    let whole = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(Truncated),
    };
    reader.end()?;
    if size == 0 {
        return Err(Truncated);
    }
    Ok((Entry { id, giver, recipient, size, stored_at, state: State::Whole }, whole))
}

fn damaged() -> StoreError {
    StoreError::Damaged("an entry is not what was written".to_owned())
}

const ROW: usize = 69;
