//! Programs beside the server that use all of their share of the processor.

use std::process::{Child, Command, Stdio};

/// They run until this is dropped, or their input ends with this process.
pub(crate) struct Hogs(Vec<Child>);

impl Hogs {
    pub(crate) fn start(count: usize) -> Self {
        // One process each, so that the kernel shares the processors between them as between programs.
        let hog = || {
            let mut hog = Command::new("sh");
            hog.args(["-c", "(while :; do :; done) & read _; kill $!"]).stdin(Stdio::piped()).spawn().unwrap()
        };
        Self((0..count).map(|_| hog()).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            drop(hog.stdin.take());
            let _ended = hog.wait();
        }
    }
}
