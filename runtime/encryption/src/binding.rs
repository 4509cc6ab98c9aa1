//! What a sealed value belongs to: the additional data of the cipher.

use crate::envelope::HEADER_BYTES;

/// The place of a payload. A value that is moved to another payload, or to another field, cannot be opened there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The aggregate type; for something else, a name that no aggregate type has, such as `view/learners`.
    pub aggregate_type: &'a str,
    /// The aggregate's id, or the key of a document.
    pub aggregate_id: &'a str,
    /// The aggregate's version after the event. Zero, if the payload has none.
    pub version: u64,
}

/// What was sealed. A value of one form is not opened as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A value in MessagePack.
    MessagePack = 1,
    /// A value in JSON.
    Json = 2,
    /// A whole payload.
    Whole = 3,
}

/// Separates this use of a key from any other. It is part of the stored format.
const PURPOSE: &[u8] = b"dormouse sealed value";

impl Binding<'_> {
    /// The additional data. Texts have their lengths before them, so that no two places have the same.
    pub(crate) fn additional_data(&self, form: Form, header: &[u8; HEADER_BYTES], path: &str) -> Vec<u8> {
        let Self { aggregate_type, aggregate_id, version } = self;
        let texts = [aggregate_type, aggregate_id, path];
        let length: usize = texts.iter().map(|text| text.len() + size_of::<u64>()).sum();
        let mut data = Vec::with_capacity(PURPOSE.len() + 1 + HEADER_BYTES + length + size_of::<u64>());
        data.extend_from_slice(PURPOSE);
        data.push(form as u8);
        data.extend_from_slice(header);
        for text in texts {
            data.extend_from_slice(&(text.len() as u64).to_be_bytes());
            data.extend_from_slice(text.as_bytes());
        }
        data.extend_from_slice(&version.to_be_bytes());
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(aggregate_type: &str, aggregate_id: &str, path: &str) -> Vec<u8> {
        let binding = Binding { aggregate_type, aggregate_id, version: 1 };
        binding.additional_data(Form::MessagePack, &[0; HEADER_BYTES], path)
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        assert_ne!(data("ab", "c", "/d"), data("a", "bc", "/d"));
        assert_ne!(data("a", "bc", "/d"), data("a", "b", "c/d"));
    }
}
