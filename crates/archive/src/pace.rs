//! Threads that copy much.

/// As `nice` counts.
const NICE: i32 = 5;

/// Lets tenants' programs go before this thread, which copies, compresses and
/// seals for as long as there is something to.
pub(crate) fn give_way() {
    // Of the calling thread alone. If it is refused, all are equal.
    let _ = rustix::process::setpriority_process(None, NICE);
}
