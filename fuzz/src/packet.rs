//! The outside of a packet, as everybody can see it; and the form in which a link's record is stored.

use telemesh_link::{
    COOKIE_SIZE, DATA_MAX_SIZE, DATA_MIN_SIZE, GENERATION_BITS, HANDSHAKE_SIZE, MAX_SLOTS, PacketKind,
    PeerRecord, classify, receiver_index, slot_of,
};

/// What is called a packet has the size of its type and zeros where they must be; only what belongs to a link names one.
pub fn packet(data: &[u8]) {
    let kind = classify(data);
    if let Ok(kind) = kind {
        assert_eq!(data.get(1..4), Some([0; 3].as_slice()));
        match kind {
            PacketKind::Initiation | PacketKind::Response => assert_eq!(data.len(), HANDSHAKE_SIZE),
            PacketKind::Cookie => assert_eq!(data.len(), COOKIE_SIZE),
            PacketKind::Data => assert!((DATA_MIN_SIZE..=DATA_MAX_SIZE).contains(&data.len())),
            _ => {}
        }
    }
    let of_a_link = matches!(kind, Ok(PacketKind::Response | PacketKind::Cookie | PacketKind::Data));
    assert_eq!(receiver_index(data).is_some(), of_a_link);
    if let Some(index) = receiver_index(data) {
        assert!(slot_of(index) < MAX_SLOTS);
        assert_eq!(slot_of(index), index >> GENERATION_BITS);
    }
}

/// A record that is read has one form.
pub fn record(data: &[u8]) {
    if let Ok(record) = PeerRecord::from_bytes(data) {
        assert_eq!(record.to_bytes().as_slice(), data);
        assert!(record.is_stale(0));
        assert!(record.highest_at == 0 || record.has_answered(record.highest_at));
    }
}
