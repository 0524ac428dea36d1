// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title Test token that behaves like Circle's USDC (FiatTokenV2_2), with a mint that is open to everybody
/// @notice For test networks only: the tokens are worth nothing. 6 decimals, EIP-2612 permits, EIP-3009
///         authorizations, a block-list and a pause. The deployer is owner, blacklister and pauser; the owner can hand
///         over each role. A public test network needs that: an open block-list would let any stranger freeze an escrow.
///
///         What a pause and the block-list stop, as in FiatTokenV2_2:
///
///         | call                                       | pause | block-list          |
///         |--------------------------------------------|-------|---------------------|
///         | mint                                       | stops | caller, receiver    |
///         | transfer                                   | stops | caller, receiver    |
///         | transferFrom                               | stops | caller, from, to    |
///         | approve, permit                            | stops | nobody              |
///         | transfer-, receiveWithAuthorization        | stops | from, to            |
///         | cancelAuthorization                        | stops | nobody              |
///
///         Also as there: the token's own address is on the block-list, so that no tokens get lost in it; an allowance
///         of 2^256 - 1 is used up like any other; a pause of a paused token, or a second listing, is not an error.
/// @dev EIP-712 domain: name "USD Coin (test)", version "2", the current chain id (it follows a fork), this address.
///      Every signature is accepted as (v, r, s) or as bytes (r, s, v packed for a plain account); if the signer has
///      code, the contract is asked by ERC-1271 in both forms.
contract TestUSDC is ERC20, EIP712, Nonces, Ownable {
    // ---------------------------------------------------------------- constants

    string private constant NAME = "USD Coin (test)";
    string private constant SYMBOL = "USDC";
    string private constant VERSION = "2";

    bytes32 public constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant CANCEL_AUTHORIZATION_TYPEHASH =
        keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");

    // ---------------------------------------------------------------- storage

    /// @notice The only account that may change the block-list.
    address public blacklister;
    /// @notice The only account that may pause and unpause. Shares a slot with `paused`.
    address public pauser;
    /// @notice Whether everything that changes balances or allowances is stopped.
    bool public paused;
    /// @notice Whether an account may neither send nor receive.
    mapping(address account => bool) public isBlacklisted;
    /// @notice Whether an EIP-3009 nonce of an account is used or canceled.
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;

    // ---------------------------------------------------------------- events

    event Mint(address indexed minter, address indexed to, uint256 amount);
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);
    event Blacklisted(address indexed account);
    event UnBlacklisted(address indexed account);
    event BlacklisterChanged(address indexed newBlacklister);
    event Pause();
    event Unpause();
    event PauserChanged(address indexed newPauser);

    // ---------------------------------------------------------------- errors

    /// @notice The token is paused.
    error TokenPaused();
    /// @notice This account is on the block-list.
    error AccountBlacklisted(address account);
    /// @notice Only the blacklister changes the block-list.
    error NotBlacklister(address caller, address blacklister);
    /// @notice Only the pauser pauses and unpauses.
    error NotPauser(address caller, address pauser);
    /// @notice A role cannot be given to the zero address.
    error ZeroAddress();
    /// @notice A mint of nothing.
    error ZeroMintAmount();
    /// @notice The permit was valid until `deadline`.
    error PermitExpired(uint256 timestamp, uint256 deadline);
    /// @notice The authorization is valid only after `validAfter`.
    error AuthorizationNotYetValid(uint256 timestamp, uint256 validAfter);
    /// @notice The authorization was valid only before `validBefore`.
    error AuthorizationExpired(uint256 timestamp, uint256 validBefore);
    /// @notice This nonce moved tokens already, or its owner canceled it.
    error AuthorizationUsedOrCanceled(address authorizer, bytes32 nonce);
    /// @notice `receiveWithAuthorization` may be called by the payee only.
    error CallerNotPayee(address caller, address payee);
    /// @notice The signature is not `signer`'s over these values, on this chain, for this token.
    error InvalidSignature(address signer);

    // ---------------------------------------------------------------- guards

    modifier whenNotPaused() {
        if (paused) revert TokenPaused();
        _;
    }

    modifier notBlacklisted(address account) {
        if (isBlacklisted[account]) revert AccountBlacklisted(account);
        _;
    }

    modifier onlyBlacklister() {
        if (msg.sender != blacklister) revert NotBlacklister(msg.sender, blacklister);
        _;
    }

    modifier onlyPauser() {
        if (msg.sender != pauser) revert NotPauser(msg.sender, pauser);
        _;
    }

    constructor() ERC20(NAME, SYMBOL) EIP712(NAME, VERSION) Ownable(msg.sender) {
        blacklister = msg.sender;
        pauser = msg.sender;
        isBlacklisted[address(this)] = true;
    }

    // ---------------------------------------------------------------- metadata

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Version in the EIP-712 domain.
    function version() external pure returns (string memory) {
        return VERSION;
    }

    /// @notice EIP-712 domain separator on the current chain.
    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    // ---------------------------------------------------------------- tokens

    /// @notice Gives anyone any number of tokens above zero, in base units.
    function mint(address to, uint256 amount)
        external
        whenNotPaused
        notBlacklisted(msg.sender)
        notBlacklisted(to)
        returns (bool)
    {
        if (amount == 0) revert ZeroMintAmount();
        emit Mint(msg.sender, to, amount);
        _mint(to, amount);
        return true;
    }

    function transfer(address to, uint256 value)
        public
        override
        whenNotPaused
        notBlacklisted(msg.sender)
        notBlacklisted(to)
        returns (bool)
    {
        return super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value)
        public
        override
        whenNotPaused
        notBlacklisted(msg.sender)
        notBlacklisted(from)
        notBlacklisted(to)
        returns (bool)
    {
        return super.transferFrom(from, to, value);
    }

    function approve(address spender, uint256 value) public override whenNotPaused returns (bool) {
        return super.approve(spender, value);
    }

    // ---------------------------------------------------------------- EIP-2612

    /// @notice Sets an allowance by the owner's signature.
    /// @param deadline Last unix time at which the permit is valid.
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        permit(owner, spender, value, deadline, abi.encodePacked(r, s, v));
    }

    /// @notice Sets an allowance by the owner's signature, given as bytes.
    function permit(address owner, address spender, uint256 value, uint256 deadline, bytes memory signature)
        public
        whenNotPaused
    {
        if (block.timestamp > deadline) revert PermitExpired(block.timestamp, deadline);
        bytes32 structHash = keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, _useNonce(owner), deadline));
        _requireSignature(owner, structHash, signature);
        _approve(owner, spender, value);
    }

    // ---------------------------------------------------------------- EIP-3009

    /// @notice Moves tokens by the payer's signature; anyone may send it.
    /// @param validAfter The authorization is valid strictly after this unix time.
    /// @param validBefore The authorization is valid strictly before this unix time.
    /// @param nonce Any 32 bytes that `from` has not used yet.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        transferWithAuthorization(from, to, value, validAfter, validBefore, nonce, abi.encodePacked(r, s, v));
    }

    /// @notice Moves tokens by the payer's signature, given as bytes; anyone may send it.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) public whenNotPaused notBlacklisted(from) notBlacklisted(to) {
        _moveAuthorized(
            TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce, signature
        );
    }

    /// @notice Takes tokens by the payer's signature; only the payee may send it, so that nobody can front-run a
    ///         contract that does more with the payment than receive it.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        receiveWithAuthorization(from, to, value, validAfter, validBefore, nonce, abi.encodePacked(r, s, v));
    }

    /// @notice Takes tokens by the payer's signature, given as bytes; only the payee may send it.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) public whenNotPaused notBlacklisted(from) notBlacklisted(to) {
        if (msg.sender != to) revert CallerNotPayee(msg.sender, to);
        _moveAuthorized(
            RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce, signature
        );
    }

    /// @notice Makes an unused nonce unusable, by its owner's signature; anyone may send it.
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external {
        cancelAuthorization(authorizer, nonce, abi.encodePacked(r, s, v));
    }

    /// @notice Makes an unused nonce unusable, by its owner's signature given as bytes; anyone may send it.
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes memory signature) public whenNotPaused {
        _requireUnused(authorizer, nonce);
        bytes32 structHash = keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce));
        _requireSignature(authorizer, structHash, signature);
        authorizationState[authorizer][nonce] = true;
        emit AuthorizationCanceled(authorizer, nonce);
    }

    // ---------------------------------------------------------------- block-list, pause and their roles

    function blacklist(address account) external onlyBlacklister {
        isBlacklisted[account] = true;
        emit Blacklisted(account);
    }

    function unBlacklist(address account) external onlyBlacklister {
        isBlacklisted[account] = false;
        emit UnBlacklisted(account);
    }

    function updateBlacklister(address newBlacklister) external onlyOwner {
        if (newBlacklister == address(0)) revert ZeroAddress();
        blacklister = newBlacklister;
        emit BlacklisterChanged(newBlacklister);
    }

    function pause() external onlyPauser {
        paused = true;
        emit Pause();
    }

    function unpause() external onlyPauser {
        paused = false;
        emit Unpause();
    }

    function updatePauser(address newPauser) external onlyOwner {
        if (newPauser == address(0)) revert ZeroAddress();
        pauser = newPauser;
        emit PauserChanged(newPauser);
    }

    // ---------------------------------------------------------------- internals

    function _moveAuthorized(
        bytes32 typeHash,
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) private {
        if (block.timestamp <= validAfter) revert AuthorizationNotYetValid(block.timestamp, validAfter);
        if (block.timestamp >= validBefore) revert AuthorizationExpired(block.timestamp, validBefore);
        _requireUnused(from, nonce);
        bytes32 structHash = keccak256(abi.encode(typeHash, from, to, value, validAfter, validBefore, nonce));
        _requireSignature(from, structHash, signature);
        authorizationState[from][nonce] = true;
        emit AuthorizationUsed(from, nonce);
        _transfer(from, to, value);
    }

    function _requireUnused(address authorizer, bytes32 nonce) private view {
        if (authorizationState[authorizer][nonce]) revert AuthorizationUsedOrCanceled(authorizer, nonce);
    }

    function _requireSignature(address signer, bytes32 structHash, bytes memory signature) private view {
        if (!SignatureChecker.isValidSignatureNow(signer, _hashTypedDataV4(structHash), signature)) {
            revert InvalidSignature(signer);
        }
    }

    /// @dev Also takes `value` from the largest allowance, which the base contract would treat as endless.
    function _spendAllowance(address owner, address spender, uint256 value) internal override {
        uint256 allowed = allowance(owner, spender);
        if (allowed < value) revert ERC20InsufficientAllowance(spender, allowed, value);
        _approve(owner, spender, allowed - value, false);
    }
}
