//! Messages, limits and addresses that endpoints exchange.
