//! Splits a request's body into lines while it arrives.

use axum::BoxError;
use axum::body::{Body, Bytes};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, Decoder};

/// Splits a body into lines.
pub(super) struct Input {
    body: Option<Body>,
    buffer: BytesMut,
    lines: AnyDelimiterCodec,
    /// The number of lines so far, blank ones included.
    number: u64,
}

/// A line of a body.
pub(super) enum InputLine {
    /// A line that is not blank, with its number.
    Line(u64, Bytes),
    /// The number of a line that exceeds the limit and was skipped.
    TooLong(u64),
}

impl Input {
    /// A reader of lines with at most `max` bytes.
    pub(super) fn new(body: Body, max: usize) -> Self {
        let lines = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), Vec::new(), max);
        Self { body: Some(body), buffer: BytesMut::new(), lines, number: 0 }
    }

    /// The next line; `None` at the end of the body. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The body ended before it was complete.
    pub(super) async fn next(&mut self) -> Result<Option<InputLine>, BoxError> {
        loop {
            let found = match &self.body {
                Some(_) => self.lines.decode(&mut self.buffer),
                None => self.lines.decode_eof(&mut self.buffer),
            };
            match found {
                Ok(Some(line)) => {
                    self.number += 1;
                    if !line.trim_ascii().is_empty() {
                        return Ok(Some(InputLine::Line(self.number, line)));
                    }
                }
                Err(AnyDelimiterCodecError::MaxChunkLengthExceeded) => {
                    self.number += 1;
                    return Ok(Some(InputLine::TooLong(self.number)));
                }
                Err(AnyDelimiterCodecError::Io(error)) => return Err(error.into()),
                Ok(None) => {
                    let Some(body) = &mut self.body else { return Ok(None) };
                    match body.frame().await {
                        Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                        Some(Err(error)) => return Err(error.into()),
                        None => self.body = None,
                    }
                }
            }
        }
    }

    /// Reads the rest of the body and throws it away, so that a client that still sends does not find its connection
    /// closed.
    pub(super) async fn discard(&mut self) {
        let Some(body) = &mut self.body else { return };
        while let Some(Ok(_)) = body.frame().await {}
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::iter;
    use proptest::prelude::*;

    use super::*;

    /// The lines that are found; a line that is too long is `None`.
    async fn lines(pieces: Vec<Vec<u8>>, max: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let body = Body::from_stream(iter(pieces.into_iter().map(|piece| Ok::<_, Infallible>(Bytes::from(piece)))));
        let (mut input, mut found) = (Input::new(body, max), Vec::new());
        while let Some(read) = input.next().await.unwrap() {
            found.push(match read {
                InputLine::Line(number, line) => (number, Some(line.to_vec())),
                InputLine::TooLong(number) => (number, None),
            });
        }
        found
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_later_lines_are_read() {
        let text = b"ab\n\n0123456789\r\n01234567890\ncd".to_vec();
        let expected = [(1, Some(&b"ab"[..])), (3, None), (4, None), (5, Some(b"cd"))];
        let expected: Vec<_> = expected.map(|(number, line)| (number, line.map(<[u8]>::to_vec))).to_vec();
        assert_eq!(lines(vec![text.clone()], 10).await, expected);
        assert_eq!(lines(text.into_iter().map(|byte| vec![byte]).collect(), 10).await, expected);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_arrive(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b'x')], 0..200),
            cuts in proptest::collection::vec(0_usize..40, 0..20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (mut pieces, mut rest) = (Vec::new(), &text[..]);
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece.to_vec());
                rest = behind;
            }
            pieces.push(rest.to_vec());
            let expected: Vec<_> = text.split(|byte| *byte == b'\n').zip(1_u64..)
                .filter(|(line, _)| !line.trim_ascii().is_empty())
                .map(|(line, number)| (number, Some(line.to_vec())))
                .collect();
            prop_assert_eq!(runtime.block_on(lines(pieces, 1000)), expected);
        }
    }
}
