// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Many views in one `eth_call`
/// @notice Never deployed: a client sends its creation code as a call without a receiver, on the state of any block, and
///         reads the answers out of the refusal.
/// @dev A constructor that returned them would be held to the size of an account's code, 24,576 bytes; a revert is not.
contract ViewReader {
    struct View {
        address target;
        bytes data;
    }

    struct Answer {
        bool success;
        bytes data;
    }

    /// @notice Not an error: what each view answered, in the order of the questions, as an encoded `Answer[]`.
    error Answers(bytes answers);

    constructor(View[] memory views) {
        uint256 count = views.length;
        Answer[] memory answers = new Answer[](count);
        for (uint256 index = 0; index < count; ++index) {
            // An equal share of what is left, so that a view that burns all of its gas takes none of the others'.
            uint256 share = gasleft() / (count - index + 1);
            (answers[index].success, answers[index].data) =
                views[index].target.staticcall{gas: share}(views[index].data);
        }
        revert Answers(abi.encode(answers));
    }
}
