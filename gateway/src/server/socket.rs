//! The socket under a connection, with three behaviours that hyper does not have.
//!
//! Hyper answers a malformed or too large head by itself, with a bare status: the socket sends a problem document in
//! its place, as for every other error. The socket gives up a client that takes nothing of its response for too long.
//! And if a client may still be sending, the socket lingers before it closes.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::limits;
use super::stream::Stream;
use crate::http::refusal;

/// Bytes that are read at once to be thrown away.
const DISCARD_BYTES: usize = 16 << 10;

pub(super) struct Socket {
    stream: Stream,
    write_timeout: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether hyper's own responses can be told from others. The bytes of HTTP/2 are frames.
    replaces: bool,
    /// Bytes that are written before anything else.
    replacement: Vec<u8>,
    /// Whether the client may still be sending when the connection closes.
    lingers: Arc<AtomicBool>,
    lingering: Option<Lingering>,
}

/// The end of a connection on which bytes still arrive, which are read and thrown away.
struct Lingering {
    timer: Pin<Box<Sleep>>,
    bytes_left: u64,
}

impl Socket {
    pub(super) fn new(stream: Stream, write_timeout: Duration) -> Self {
        let (replaces, lingers) = (!stream.is_http2(), Arc::default());
        Self { stream, write_timeout, stalled: None, replaces, replacement: Vec::new(), lingers, lingering: None }
    }

    /// The flag that makes the socket linger. It must be set before the response to a request whose body was not read
    /// to its end.
    pub(super) fn lingers(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.lingers)
    }

    /// Reads and throws away, until the client has finished, the time is over, or the limit of bytes is reached.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            timer: Box::pin(sleep(limits::LINGERING)),
            bytes_left: limits::LINGERING_BYTES,
        });
        let mut discarded = [MaybeUninit::uninit(); DISCARD_BYTES];
        while lingering.bytes_left > 0 {
            let mut buffer = ReadBuf::uninit(&mut discarded);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let bytes = u64::try_from(buffer.filled().len()).unwrap_or(u64::MAX);
                    lingering.bytes_left = lingering.bytes_left.saturating_sub(bytes);
                }
                Poll::Ready(_) => break,
                Poll::Pending => return lingering.timer.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }

    /// Passes on the result of a write. A write that waits fails when the write timeout is over.
    fn with_timeout<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }

    /// Writes the bytes that replace hyper's own response.
    fn poll_replacement(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.replacement.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.replacement);
            let count = ready!(self.with_timeout(context, written))?;
            if count == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.replacement.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether hyper writes a response of its own here. If so, its replacement is queued.
    fn is_replaced(&mut self, bytes: &[u8]) -> bool {
        match self.replaces.then(|| refusal::in_place_of(bytes)).flatten() {
            Some(better) => {
                self.replacement = better;
                self.lingers.store(true, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_replacement(context))?;
        if self.is_replaced(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.with_timeout(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_replacement(context))?;
        // A response without a body is one slice.
        if let [bytes] = slices
            && self.is_replaced(bytes)
        {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.with_timeout(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_replacement(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_replacement(context))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        if self.lingers.load(Ordering::Relaxed) {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}
