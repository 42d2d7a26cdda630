//! Time of processors, user and system.

use std::time::Duration;

/// Of this process so far.
#[allow(dead_code, reason = "not every bench measures itself")]
pub fn own() -> Duration {
    used(libc::RUSAGE_SELF)
}

/// Of all children that have ended and were waited for, and of theirs.
pub fn children() -> Duration {
    used(libc::RUSAGE_CHILDREN)
}

fn used(by: libc::c_int) -> Duration {
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec.cast_unsigned()) + Duration::from_micros(t.tv_usec.cast_unsigned())
    };
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the place is as large as the structure, and read only when the call has filled it in.
    #[allow(unsafe_code, reason = "rustix has no getrusage")]
    let usage = unsafe {
        assert_eq!(libc::getrusage(by, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}
