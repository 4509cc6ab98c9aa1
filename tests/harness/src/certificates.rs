//! Certificates for tests of encrypted connections.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// An authority that signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM format.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new authority, which nobody trusts yet.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority signs itself"))
    }

    /// The certificate of the authority in PEM format. A client that is given it trusts what the authority has signed.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server with these names and addresses.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> Certificate {
        self.signed(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client with this name.
    #[must_use]
    pub fn client(&self, name: &str) -> Certificate {
        self.signed(&[name], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn signed(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names or addresses");
        params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.0).expect("the authority signs");
        Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
