//! Why a caller is not let in.

/// Why a token or an API key is not accepted. No message shows anything of the token besides names of claims.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is longer than any token of an issuer should be.
    #[error("the token is longer than {0} bytes")]
    TooLong(usize),
    /// It is no signed token in compact form (RFC 7515, 7.1).
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// It is signed in another way than with RS256, ES256 or EdDSA.
    #[error("the token is signed with an algorithm that is not accepted: it must be RS256, ES256 or EdDSA")]
    Algorithm,
    /// A header says that the receiver must understand an extension.
    #[error("the token has a critical header: none is understood")]
    Critical,
    /// Another issuer made it.
    #[error("the issuer of the token is not known here")]
    UnknownIssuer,
    /// The issuer has no such key.
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// The keys of its issuer were never read.
    #[error("the keys of the token's issuer are not available: try again later")]
    KeysUnavailable,
    /// The signature is not that of the issuer.
    #[error("the signature of the token is wrong")]
    Signature,
    /// A claim is missing or wrong.
    #[error("the claim {claim:?} of the token {problem}")]
    Claim {
        /// The name of the claim.
        claim: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It counted in the past.
    #[error("the token has expired")]
    Expired,
    /// It counts in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// There is no such API key, or it was revoked.
    #[error("the API key is not known here, or was revoked")]
    UnknownApiKey,
    /// The API key counted in the past.
    #[error("the API key has expired")]
    ExpiredApiKey,
}

impl Refused {
    /// Whether it says nothing about the token: the same token may be accepted later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }

    pub(crate) fn claim(claim: impl Into<String>, problem: &'static str) -> Self {
        Self::Claim { claim: claim.into(), problem }
    }
}
