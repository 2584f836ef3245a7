// Copyright 2026 the Longrun authors. MIT license.

/** The numbers of the OMG begin with this. */
const OMG = 0x4f4d0000;
/** The numbers of omniORB, in which Tango's servers are written. */
const OMNI_ORB = 0x41540000;

/** Numbers that this client gives itself. */
export const MinorCode = {
  TRANSIENT_ConnectFailed: OMNI_ORB + 2,
  TRANSIENT_CallTimedout: OMNI_ORB + 8,
  TRANSIENT_ConnectionClosed: OMNI_ORB + 17,
} as const;

/** One number means one thing with one exception, another with another. */
const NAMES: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  UNKNOWN: {
    [OMG + 1]: "UserException",
    [OMG + 2]: "SystemException",
    [OMNI_ORB + 98]: "PythonException",
    [OMNI_ORB + 123]: "OmniThreadException",
  },
  BAD_PARAM: {
    [OMG + 25]: "EnumValueOutOfRange",
    [OMNI_ORB + 21]: "IndexOutOfRange",
    [OMNI_ORB + 27]: "InvalidUnionDiscValue",
    [OMNI_ORB + 43]: "InvalidObjectRef",
    [OMNI_ORB + 49]: "InternalInvariant",
    [OMNI_ORB + 57]: "NullStringUnexpected",
    [OMNI_ORB + 70]: "InvalidTypeCode",
    [OMNI_ORB + 100]: "StringIsTooLong",
    [OMNI_ORB + 101]: "SequenceIsTooLong",
    [OMNI_ORB + 107]: "WrongUnionMemberSelected",
  },
  NO_MEMORY: { [OMNI_ORB + 121]: "BadAlloc" },
  IMP_LIMIT: { [OMG + 1]: "NoUsableProfile" },
  COMM_FAILURE: {
    [OMNI_ORB + 3]: "MarshalArguments",
    [OMNI_ORB + 4]: "UnMarshalArguments",
    [OMNI_ORB + 5]: "MarshalResults",
    [OMNI_ORB + 6]: "UnMarshalResults",
    [OMNI_ORB + 7]: "WaitingForReply",
  },
  INV_OBJREF: {
    [OMG + 1]: "WCharNotSupported",
    [OMG + 2]: "CodesetComponentRequired",
    [OMNI_ORB + 48]: "InvokeOnNilObjRef",
    [OMNI_ORB + 54]: "CorruptedObjRef",
    [OMNI_ORB + 55]: "InterfaceMisMatch",
    [OMNI_ORB + 117]: "ShortcutServantDeactivated",
    [OMNI_ORB + 130]: "UnsuitableGIOPVersion",
  },
  MARSHAL: {
    [OMNI_ORB + 9]: "InvalidVariableLenComponentSize",
    [OMNI_ORB + 10]: "PassEndOfMessage",
    [OMNI_ORB + 11]: "MessageSizeExceedLimitOnClient",
    [OMNI_ORB + 12]: "MessageSizeExceedLimitOnServer",
    [OMNI_ORB + 18]: "SequenceIsTooLong",
    [OMNI_ORB + 19]: "StringIsTooLong",
    [OMNI_ORB + 22]: "StringNotEndWithNull",
    [OMNI_ORB + 26]: "InvalidEnumValue",
    [OMNI_ORB + 52]: "InvalidIOR",
    [OMNI_ORB + 67]: "ExceptionInDSINotPropagated",
    [OMNI_ORB + 69]: "MessageSizeExceedLimit",
    [OMNI_ORB + 79]: "InvalidContextList",
    [OMNI_ORB + 90]: "InvalidIndirection",
    [OMNI_ORB + 91]: "InvalidTypeCodeKind",
    [OMNI_ORB + 93]: "MessageTooLong",
    [OMNI_ORB + 110]: "CannotReserveOutputSpace",
  },
  NO_IMPLEMENT: {
    [OMG + 2]: "IncompatibleVersion",
    [OMG + 3]: "NoUsableProfile",
    [OMNI_ORB + 36]: "Unsupported",
    [OMNI_ORB + 99]: "NoPythonMethod",
  },
  BAD_TYPECODE: {
    [OMG + 1]: "Incomplete",
    [OMG + 2]: "IllegitimateMember",
    [OMNI_ORB + 71]: "TypeCodeIsNil",
    [OMNI_ORB + 89]: "InvalidOperation",
    [OMNI_ORB + 94]: "UnknownKind",
    [OMNI_ORB + 105]: "UnresolvedRecursiveTC",
    [OMNI_ORB + 108]: "InvalidIndirection",
    [OMNI_ORB + 116]: "NotEquivalent",
  },
  BAD_OPERATION: {
    [OMNI_ORB + 38]: "UnRecognisedOperationName",
    [OMNI_ORB + 126]: "WrongPollerOperation",
  },
  NO_RESOURCES: {
    [OMG + 1]: "PIOperationNotSupported",
    [OMNI_ORB + 25]: "CodeSetNotSupported",
    [OMNI_ORB + 51]: "InitialRefNotFound",
    [OMNI_ORB + 122]: "UnableToStartThread",
  },
  NO_RESPONSE: { [OMG + 1]: "ReplyNotAvailableYet" },
  BAD_INV_ORDER: {
    [OMG + 3]: "WouldDeadLock",
    [OMG + 4]: "ORBHasShutdown",
    [OMG + 17]: "POACreationDuringDestruction",
    [OMNI_ORB + 24]: "CodeSetNotKnownYet",
    [OMNI_ORB + 120]: "ORBNotInitialised",
  },
  TRANSIENT: {
    [OMG + 1]: "POANoResource",
    [OMG + 2]: "NoUsableProfile",
    [OMG + 3]: "RequestCancelled",
    [OMG + 4]: "POADestroyed",
    [OMNI_ORB + 1]: "FailedOnForwarded",
    [OMNI_ORB + 2]: "ConnectFailed",
    [OMNI_ORB + 8]: "CallTimedout",
    [OMNI_ORB + 14]: "BiDirConnIsGone",
    [OMNI_ORB + 16]: "BiDirConnUsedWithNoPOA",
    [OMNI_ORB + 17]: "ConnectionClosed",
    [OMNI_ORB + 62]: "ObjDeactivatedWhileHolding",
    [OMNI_ORB + 106]: "PythonExceptionInORB",
  },
  OBJ_ADAPTER: {
    [OMG + 1]: "POAUnknownAdapter",
    [OMG + 2]: "NoServant",
    [OMG + 3]: "NoDefaultServant",
    [OMG + 4]: "NoServantManager",
    [OMG + 5]: "WrongIncarnatePolicy",
    [OMNI_ORB + 15]: "BiDirNotAllowed",
    [OMNI_ORB + 33]: "BOANotInitialised",
    [OMNI_ORB + 53]: "POANotInitialised",
    [OMNI_ORB + 63]: "ServantAlreadyActive",
    [OMNI_ORB + 97]: "IncompatibleServant",
  },
  DATA_CONVERSION: {
    [OMG + 1]: "CannotMapChar",
    [OMNI_ORB + 40]: "RangeError",
    [OMNI_ORB + 41]: "BadInput",
  },
  OBJECT_NOT_EXIST: {
    [OMG + 1]: "NoMatch",
    [OMG + 2]: "IncarnateFailed",
    [OMNI_ORB + 34]: "BOANotInitialised",
    [OMNI_ORB + 58]: "POANotInitialised",
  },
  TIMEOUT: {
    [OMG + 1]: "NoPollerResponseInTime",
    [OMNI_ORB + 8]: "CallTimedOutOnClient",
    [OMNI_ORB + 124]: "CallTimedOutOnServer",
  },
};

/**
 * What the number of a system exception is called, such as
 * `OBJECT_NOT_EXIST_NoMatch`; in digits if it has no name.
 */
export function minorName(kind: string, minor: number): string {
  const name = Object.hasOwn(NAMES, kind) ? NAMES[kind]?.[minor] : undefined;
  return name === undefined
    ? `0x${minor.toString(16).padStart(8, "0")}`
    : `${kind}_${name}`;
}
