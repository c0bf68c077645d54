//! Signals as something to poll, so that the shim needs no handlers.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// All signals are held back from now on and read here instead.
pub struct Signals(OwnedFd);

impl Signals {
    /// The calling thread must be the process's only one.
    pub fn take() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set it is given before anything reads it. The mask is
        // this thread's only, which is the whole process. signalfd returns a new descriptor that
        // nobody else owns, or -1, which is checked before it is taken over.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Takes what has arrived; whether TERM was among it.
    pub fn term(&self) -> io::Result<bool> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut term = false;
        let mut buffer = [0; SIZE];
        loop {
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(SIZE) => {
                    // The first field, ssi_signo, is a u32.
                    let number = u32::from_ne_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
                    term |= i64::from(number) == i64::from(libc::SIGTERM);
                }
                Ok(_) | Err(rustix::io::Errno::AGAIN) => return Ok(term),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Closes every descriptor but the three standard ones: what the process that
/// started us had left open is not ours to keep open.
pub fn close_inherited() -> io::Result<()> {
    // SAFETY: called first thing in a fresh process, when no value in it owns a descriptor above 2 yet.
    match unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
