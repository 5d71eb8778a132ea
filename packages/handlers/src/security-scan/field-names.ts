import type { FindingKind } from "./kinds.ts";

/** By words of a field's name, in one piece or parted (`firstName`, `FIRST_NAME`, `first name`). */
const names: readonly (readonly [FindingKind, string])[] = [
  [
    "PERSON_NAME",
    "firstname lastname fullname surname givenname familyname middlename maidenname customername patientname employeename",
  ],
  ["DATE_OF_BIRTH", "dob birthdate dateofbirth birthday birthdt"],
  [
    "POSTAL_ADDRESS",
    "address streetaddress street homeaddress mailingaddress billingaddress shippingaddress addressline1 postcode",
  ],
  ["EMAIL", "email emailaddress mail emailid"],
  ["PHONE", "phone phonenumber telephone mobile mobilenumber cell cellphone fax tel contactnumber"],
  ["SSN", "ssn socialsecurity socialsecuritynumber"],
  [
    "GOVERNMENT_ID",
    "passport passportnumber passportno driverlicense driverslicense driverlicensenumber licensenumber nationalid nationalidnumber taxid tin nin ein",
  ],
  [
    "BANK_ACCOUNT",
    "accountnumber bankaccount bankaccountnumber routingnumber sortcode acctno accountno",
  ],
  ["IBAN", "iban"],
  ["CREDIT_CARD", "creditcard creditcardnumber cardnumber ccnumber pan ccnum"],
  ["CARD_SECRET", "cvv cvc cvv2 cvc2 cardpin pin track1 track2 securitycode pinblock"],
  [
    "HEALTH_DATA",
    "diagnosis icd icd10 mrn medicalrecordnumber medicalrecord patientid medication prescription bloodtype treatment allergies healthplan insuranceid symptoms",
  ],
  [
    "SPECIAL_CATEGORY",
    "religion ethnicity race sexualorientation politicalparty politicalopinion unionmember biometric fingerprint genetic",
  ],
  ["FINANCIAL_DATA", "salary income wage balance networth creditscore"],
  ["PASSWORD", "password passwd pwd passwordhash passphrase"],
  ["API_KEY", "apikey secret secretkey accesstoken authtoken clientsecret refreshtoken accesskey"],
];
const kindsByName = new Map<string, FindingKind>(
  names.flatMap(([kind, words]) => words.split(" ").map((word) => [word, kind] as const)),
);

const asked = new Map<string, FindingKind | undefined>();
/** Keys of JSON may be anything: what is remembered of them is bounded. */
const MOST_ASKED = 10_000;

/** What a field of this name holds, if its name says so. */
export function kindOfField(name: string): FindingKind | undefined {
  if (asked.has(name)) return asked.get(name);
  const bare = name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const kind = bare.length > 40 ? undefined : kindsByName.get(bare);
  if (asked.size < MOST_ASKED) asked.set(name, kind);
  return kind;
}
