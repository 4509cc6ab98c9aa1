//! Messages, timers and handlers of the real binary under faults: each message takes effect once, each timer fires once,
//! each handler acts at least once and always with the same key, all in the order of their aggregate's events.

#[path = "messaging/hunt.rs"]
mod hunt;

#[path = "messaging/kills.rs"]
mod kills;
#[path = "messaging/planted.rs"]
mod planted;
#[path = "messaging/timers.rs"]
mod timers;
