"""The methods about a person's rights: to see all that is held, and to be erased."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from directorybolt.intake.v1 import erasure_pb2 as m
from directorybolt.intake.v1 import intake_service_pb2_grpc

from services.domain.errors import CustomerNotFound, ErasureNotFound
from services.intake import access, names
from services.intake.certificate_view import certificate_view

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import grpc

    from services.intake.desk import Desk

    Context = grpc.aio.ServicerContext[Any, Any]


class RightsMethods(intake_service_pb2_grpc.IntakeServiceServicer):
    """Exports and erases customers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ExportCustomer(
        self, request: m.ExportCustomerRequest, context: Context
    ) -> AsyncGenerator[m.ExportCustomerResponse]:
        """Send everything that is held on a customer, opened."""
        del context
        customer_id = names.read_customer(request.name, "name")
        access.its_own(customer_id, request.name, CustomerNotFound)
        async with aclosing(self._desk.export.documents(customer_id)) as documents:
            async for each in documents:
                yield each

    async def EraseCustomer(
        self, request: m.EraseCustomerRequest, context: Context
    ) -> m.EraseCustomerResponse:
        """Erase a customer for ever."""
        del context
        customer_id = names.read_customer(request.name, "name")
        certificate = await self._desk.eraser.erase(customer_id, request)
        return m.EraseCustomerResponse(certificate=certificate_view(certificate))

    async def GetErasureCertificate(
        self, request: m.GetErasureCertificateRequest, context: Context
    ) -> m.GetErasureCertificateResponse:
        """Show the proof that a customer was erased."""
        del context
        customer_id = names.read_erasure_certificate(request.name, "name")
        certificate = await self._desk.certificates.find(customer_id)
        if certificate is None:
            raise ErasureNotFound(name=request.name)
        return m.GetErasureCertificateResponse(certificate=certificate_view(certificate))
